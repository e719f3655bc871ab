"""Two clusters from the same properties: azimuth-broker and Apache Kafka, three brokers each unless they are told
other nodes, one process a node.

Each broker has three listeners: INTERNAL (plaintext, for the brokers and for tools, where everybody is the super user
ANONYMOUS), CLIENTS (SASL_SSL with SCRAM-SHA-512, PLAIN and OAUTHBEARER off) and, on Kafka's combined nodes, CONTROLLER.
Everything lies in one temporary folder and ends with the object.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

READY_WITHIN = 180
NODES = [1, 2, 3]
CONTROLLER = 1000
PASSWORD = "a-password-for-tests"
USERS = ["admin", "alice"]
LOGGING = """rootLogger.level=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %c: %m%n
appender.console.target=SYSTEM_ERR
rootLogger.appenderRef.console.ref=console
"""


def free_ports(count):
    """Free ports of 127.0.0.1, all different: each is held until the last one is known."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def certificates(folder):
    """A CA and a certificate for 127.0.0.1 with its key, as PEM files that both kinds of broker read."""

    def openssl(*arguments):
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"openssl {arguments[0]} failed: {done.stderr}")

    (folder / "san.cnf").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=test ca", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "raw.key", "-out", "node.csr")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "raw.key", "-out", "node.key")
    openssl("x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "san.cnf", "-out", "node.crt")
    (folder / "node.pem").write_text((folder / "node.key").read_text() + (folder / "node.crt").read_text())


class Cluster:
    """What the two kinds share: folder, ports, properties, client files, the end."""

    def __init__(self, name, overrides=None, plain=False, nodes=NODES, port=None):
        self.name = name
        self.nodes = nodes
        self.plain = plain
        self.overrides = overrides or {}
        self.dir = Path(tempfile.mkdtemp(prefix=f"judge-{name}-"))
        self.processes = {}
        # What steps keep for later ones.
        self.kept = {"token": "none", "hmac": "none"}
        ports = free_ports(3 * len(nodes) + 1)
        self.internal = dict(zip(nodes, ports))
        # Some suites know one address only.
        if port:
            self.internal[nodes[0]] = port
        self.clients = dict(zip(nodes, ports[len(nodes) :]))
        self.control = dict(zip(nodes + [CONTROLLER], ports[2 * len(nodes) :]))
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.internal.values())
        self.secure = ",".join(f"127.0.0.1:{port}" for port in self.clients.values())
        self.client_properties = self.dir / "client.properties"
        certificates(self.dir)
        self.write_client(self.client_properties, "admin", PASSWORD)

    def write_client(self, path, user, password, options=""):
        path.write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n"
            f"ssl.truststore.location={self.dir}/ca.pem\n"
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{user}" password="{password}"{options};\n'
        )

    def common(self):
        """The properties of every broker of both kinds."""
        replicas = str(len(self.nodes))
        text = {
            "num.partitions": "4",
            "default.replication.factor": replicas,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": "2" if len(self.nodes) > 1 else "1",
            "group.min.session.timeout.ms": "1000",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL",
            "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        }
        if not self.plain:
            text |= {
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "delegation.token.secret.key": "a-secret-of-the-cluster",
                "listener.name.clients.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": f"{self.dir}/node.pem",
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": f"{self.dir}/ca.pem",
            }
        return text | self.authorization() | self.overrides

    def authorization(self):
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS;User:admin",
        }

    def broker(self, node):
        listeners = f"INTERNAL://127.0.0.1:{self.internal[node]}"
        if not self.plain:
            listeners += f",CLIENTS://127.0.0.1:{self.clients[node]}"
        return {
            "node.id": str(node),
            "broker.rack": f"az{node}",
            "advertised.listeners": listeners,
            "listeners": listeners,
            "log.dirs": f"{self.dir}/data-{node}-a,{self.dir}/data-{node}-b",
        }

    def write(self, name, *parts):
        text = {}
        for part in parts:
            text |= part
        path = self.dir / f"{name}.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in text.items()))
        return path

    def spawn(self, name, command):
        log = (self.dir / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.dir)
        log.close()

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def await_brokers(self):
        """Until each broker names all of them in its metadata."""
        from kafka import errors
        from kafka.admin import KafkaAdminClient

        end, said = time.monotonic() + READY_WITHIN, None
        while time.monotonic() < end:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    first = [line for line in self.log(name).splitlines() if "ERROR" in line or "Exception" in line][:5]
                    self.give_up(f"{name} ended: " + "\n".join(first))
            try:
                known = []
                for server in self.bootstrap.split(","):
                    admin = KafkaAdminClient(bootstrap_servers=[server])
                    known.append(len(admin.describe_cluster()["brokers"]))
                    admin.close()
                if known == [len(self.nodes)] * len(self.nodes):
                    return
                said = f"they know {known} brokers"
            except (errors.KafkaError, OSError) as error:
                said = error
            time.sleep(0.2)
        self.give_up(f"not up within {READY_WITHIN} s: {said}")

    def give_up(self, why):
        # Nobody has the object yet, so nobody else would end what runs.
        self.stop()
        raise SystemExit(f"{self.name}: {why}")

    def stop(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Ours(Cluster):
    """azimuth-broker: three brokers and the controller, a node of its own."""

    def __init__(self, program, **options):
        super().__init__("ours", **options)
        address = f"127.0.0.1:{self.control[CONTROLLER]}"
        voters = {"controller.quorum.voters": f"{CONTROLLER}@{address}"}
        controller = self.write(
            "controller",
            self.common(),
            voters,
            {"process.roles": "controller", "node.id": str(CONTROLLER), "listeners": f"CONTROLLER://{address}", "log.dirs": f"{self.dir}/controller"},
        )
        scram = []
        if not self.plain:
            for user in USERS:
                scram += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]"]
        self.spawn("controller", [program, "serve", str(controller), *scram])
        for node in self.nodes:
            path = self.write(f"broker-{node}", self.common(), voters, {"process.roles": "broker"}, self.broker(node))
            self.spawn(f"broker-{node}", [program, "serve", str(path)])
        self.await_brokers()


class Kafka(Cluster):
    """Apache Kafka: three combined nodes from a folder of jars."""

    def __init__(self, jars, **options):
        super().__init__("kafka", **options)
        self.jars = jars
        (self.dir / "log4j2.properties").write_text(LOGGING)
        voters = ",".join(f"{node}@127.0.0.1:{self.control[node]}" for node in self.nodes)
        scram = []
        if not self.plain:
            for user in USERS:
                scram += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]"]
        for node in self.nodes:
            broker = self.broker(node)
            broker["listeners"] += f",CONTROLLER://127.0.0.1:{self.control[node]}"
            roles = {"process.roles": "broker,controller", "controller.quorum.voters": voters}
            path = self.write(f"node-{node}", self.common(), roles, broker)
            done = subprocess.run(
                [*self.java(), "kafka.tools.StorageTool", "format", "-t", "AzimuthJudge0000000001", "-c", str(path), *scram], capture_output=True, text=True
            )
            if done.returncode != 0:
                raise SystemExit(f"node {node} cannot be formatted: {done.stdout}{done.stderr}")
            self.spawn(f"node-{node}", [*self.java("-Xms1g", "-Xmx1g", "-XX:+UseG1GC"), "kafka.Kafka", str(path)])
        self.await_brokers()

    def java(self, *options):
        return java(self.jars, self.dir, *options)


def java(jars, folder, *options):
    return ["java", *options, f"-Dlog4j2.configurationFile={folder}/log4j2.properties", "-cp", f"{jars}/*"]
