#!/usr/bin/env python3
"""Fills a moto server with what a small Kafka cluster on EC2 looks like, for `tests/console` and for trying by hand.

Six brokers in three zones at 127.0.ZONE.(10 + id), each with a data volume:

    1, 2, 3  the volume's tag kafka:log-dir names the log directory       -> joined by tag
    4, 5     one untagged data volume                                     -> joined by size, or as the only volume
    6        two untagged data volumes of one size                        -> ambiguous

A seventh instance belongs to nobody. Route 53 has the private zone test.internal for names of clusters, and two zones, a
private and a public one, of the name twice.test. Metrics of the last ten minutes are put for broker 1 and its volume. Prints one
JSON object: brokers with address, instance, zone, zone id, and volumes.

    moto_seed.py http://127.0.0.1:5000 [--log-dir '/data/{id}'] [--size-gib 100]

The log directory and the size must be those of the brokers that are to be joined; their file systems must have 93 to
100 % of the size for the join by size.
"""

import argparse
import datetime
import json
import time
import urllib.request

import boto3

ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
BROKERS = range(1, 7)


def wait_until_served(endpoint, deadline=30):
    """moto's first answers take seconds."""
    until = time.monotonic() + deadline
    while True:
        try:
            return urllib.request.urlopen(f"{endpoint}/moto-api/data.json", timeout=5).read()
        except OSError:
            if time.monotonic() > until:
                raise SystemExit(f"moto does not answer at {endpoint}")
            time.sleep(0.1)


def client(service, endpoint):
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1",
                        aws_access_key_id="test", aws_secret_access_key="test")


def network(ec2):
    """One subnet a zone, so that private addresses can be 127.0.ZONE.n."""
    vpc = ec2.create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]["VpcId"]
    subnets = {}
    for number, zone in enumerate(ZONES, start=1):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"127.0.{number}.0/24", AvailabilityZone=zone)
        subnets[zone] = subnet["Subnet"]["SubnetId"]
    return vpc, subnets


def run_instance(ec2, image, subnet, address, tags):
    answer = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="m7g.xlarge", SubnetId=subnet, PrivateIpAddress=address,
        TagSpecifications=[{"ResourceType": "instance", "Tags": pairs(tags)}])
    return answer["Instances"][0]["InstanceId"]


def pairs(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def attach_volume(ec2, zone, instance, device, size_gib, tags):
    volume = ec2.create_volume(
        AvailabilityZone=zone, Size=size_gib, VolumeType="gp3", Iops=3000, Throughput=125, Encrypted=True,
        TagSpecifications=[{"ResourceType": "volume", "Tags": pairs({"kafka:cluster": "test", **tags})}])["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    return volume


def put(cloudwatch, namespace, metric, dimensions, values):
    """One value a minute, the newest three minutes old, so that whole five-minute periods are full."""
    last = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    data = [{"MetricName": metric, "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
             "Timestamp": last - datetime.timedelta(minutes=age), "Value": value}
            for age, value in enumerate(values)]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)


def put_metrics(cloudwatch, instance, volume):
    minutes = 15
    of_instance, of_volume = {"InstanceId": instance}, {"VolumeId": volume}
    attachment = {"InstanceId": instance, "VolumeId": volume}
    put(cloudwatch, "AWS/EC2", "CPUUtilization", of_instance, [31.5] * minutes)
    put(cloudwatch, "AWS/EC2", "NetworkIn", of_instance, [60e6] * minutes)
    put(cloudwatch, "AWS/EBS", "VolumeWriteBytes", of_volume, [600e6] * minutes)
    put(cloudwatch, "AWS/EBS", "VolumeWriteOps", of_volume, [6000.0] * minutes)
    put(cloudwatch, "AWS/EBS", "VolumeQueueLength", of_volume, [0.5] * minutes)
    put(cloudwatch, "AWS/EBS", "VolumeAvgWriteLatency", attachment, [0.7] * minutes)
    put(cloudwatch, "AWS/EBS", "VolumeStalledIOCheck", attachment, [0.0] * minutes)


def hosted_zones(route53, vpc):
    """For names that lead to clusters: one that a name's end tells, and two of one name."""
    of_vpc = {"VPC": {"VPCRegion": "us-east-1", "VPCId": vpc}, "HostedZoneConfig": {"PrivateZone": True}}
    for number, (name, more) in enumerate([("test.internal", of_vpc), ("twice.test", of_vpc), ("twice.test", {})]):
        route53.create_hosted_zone(Name=name, CallerReference=f"seed-{number}", **more)


def broker(ec2, image, subnets, number, log_dir, size_gib):
    zone = ZONES[(number - 1) % 3]
    address = f"127.0.{(number - 1) % 3 + 1}.{10 + number}"
    tags = {"Name": f"kafka-{number}", "kafka:cluster": "test", "kafka:broker-id": str(number)}
    instance = run_instance(ec2, image, subnets[zone], address, tags)
    of_volume = {"kafka:log-dir": log_dir} if number <= 3 else {}
    volumes = [attach_volume(ec2, zone, instance, "/dev/sdf", size_gib, of_volume)]
    if number == 6:
        volumes.append(attach_volume(ec2, zone, instance, "/dev/sdg", size_gib, {}))
    return {"id": number, "address": address, "instance": instance, "zone": zone, "log_dir": log_dir,
            "volumes": volumes}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("endpoint", help="URL of the moto server")
    arguments.add_argument("--log-dir", default="/data/{id}", help="with {id} for the broker id")
    arguments.add_argument("--size-gib", type=int, default=100)
    given = arguments.parse_args()
    wait_until_served(given.endpoint)
    ec2, cloudwatch = client("ec2", given.endpoint), client("cloudwatch", given.endpoint)
    image = "ami-12c6146b"  # moto does not look it up
    vpc, subnets = network(ec2)
    hosted_zones(client("route53", given.endpoint), vpc)
    brokers = [broker(ec2, image, subnets, number, given.log_dir.replace("{id}", str(number)), given.size_gib)
               for number in BROKERS]
    run_instance(ec2, image, subnets[ZONES[0]], "127.0.1.200", {"Name": "somebody-else"})
    first = brokers[0]
    put_metrics(cloudwatch, first["instance"], first["volumes"][0])
    ec2.modify_volume(VolumeId=first["volumes"][0], Throughput=250)
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    ids = {zone["ZoneName"]: zone["ZoneId"] for zone in zones}
    for each in brokers:
        each["zone_id"] = ids[each["zone"]]
    print(json.dumps({"vpc": vpc, "brokers": brokers}))


if __name__ == "__main__":
    main()
