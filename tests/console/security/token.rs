//! Tokens of an OAuth server: both clients log in with what the console was given there, and what the server refuses is the
//! server's refusal and no broker's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use azimuth_broker::wire::tls;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Authority, SOON, Secured};

/// A token that nobody signed, for brokers that are told to take such.
pub fn unsigned(subject: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#);
    let now = jiff::Timestamp::now().as_second();
    let claims = format!(r#"{{"sub":"{subject}","iat":{now},"exp":{}}}"#, now + 3600);
    format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims))
}

/// An OAuth server with a certificate of this authority: it knows one client, and gives it tokens for alice.
async fn server(authority: &Authority) -> (String, Arc<AtomicUsize>) {
    let (key, chain) = authority.sign(&["127.0.0.1"], 2099);
    let settings = tls::Settings::from_properties(|name| match name {
        "ssl.keystore.key" => Some(key.clone()),
        "ssl.keystore.certificate.chain" => Some(chain.clone()),
        _ => None,
    });
    let acceptor = Arc::new(tls::Acceptor::new(&settings.unwrap()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/realms/kafka/token", listener.local_addr().unwrap());
    let given = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&given);
    let known = format!("basic {}", STANDARD.encode("azimuth:open-sesame"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counted, known) = (Arc::clone(&acceptor), Arc::clone(&counted), known.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = Vec::new();
                while !String::from_utf8_lossy(&request).contains("grant_type=client_credentials") {
                    let mut bytes = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut bytes).await else {
                        return;
                    };
                    request.extend_from_slice(&bytes[..count]);
                }
                let request = String::from_utf8_lossy(&request).to_lowercase();
                let (status, body) = match request.contains(&known.to_lowercase()) {
                    true => {
                        counted.fetch_add(1, Ordering::SeqCst);
                        (
                            "200 OK",
                            format!(r#"{{"access_token":"{}","expires_in":3600}}"#, unsigned("alice")),
                        )
                    }
                    false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                // Who left wants no answer.
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                // TLS keeps it back until then.
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, given)
}

/// The record clients and the control plane, in Java's names and in librdkafka's; a secret that is wrong, and a server that is
/// not there.
pub async fn tokens_of_a_server(secured: &Secured) {
    let (url, given) = server(&secured.authority).await;
    let bootstrap = secured.bootstrap();
    let ca = secured.authority.file.display().to_string();
    let java = secured.write(
        "oidc.properties",
        &format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nssl.truststore.location={ca}\nssl.truststore.type=PEM\n\
             sasl.oauthbearer.token.endpoint.url={url}\n\
             sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n\
             sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \\\n  \
             clientId=\"azimuth\" clientSecret=\"open-sesame\" scope=\"kafka\" ssl.truststore.location=\"{ca}\";\n"
        ),
    );
    let target = format!("--bootstrap {bootstrap} --command-config {java}");
    for line in ["broker list", "record tail orders --offset 0 --count 1 --timeout 20s"] {
        let before = given.load(Ordering::SeqCst);
        let ran = secured.run(format!("{line} {target}")).await;
        assert_eq!(ran.status, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
        assert_eq!(
            given.load(Ordering::SeqCst) - before,
            1,
            "{line}: one token serves all logins"
        );
    }
    let ran = secured.run(format!("context test {target} -o json")).await;
    let steps = ran.envelope("context.test")["items"].as_array().unwrap().clone();
    let login = steps.iter().find(|row| row["step"] == "login").unwrap();
    assert_eq!(
        (&login["status"], &login["detail"]),
        (&"pass".into(), &"OAUTHBEARER as alice".into()),
        "{login}"
    );

    // The secret lies in a file, and then the wrong one does.
    secured.write("oidc-secret", "open-sesame\n");
    let contexts = format!(
        "[context.c]\nbootstrap = \"{bootstrap}\"\n[context.c.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\
         \"sasl.mechanism\" = \"OAUTHBEARER\"\n\"sasl.oauthbearer.method\" = \"oidc\"\n\"ssl.ca.location\" = \"{ca}\"\n\
         \"https.ca.location\" = \"{ca}\"\n\"sasl.oauthbearer.token.endpoint.url\" = \"{url}\"\n\
         \"sasl.oauthbearer.client.id\" = \"azimuth\"\n\"sasl.oauthbearer.client.secret\" = {{ file = \"oidc-secret\" }}\n"
    );
    let contexts = secured.write("oidc.toml", &contexts);
    let ran = secured.run(format!("topic list --context-file {contexts}")).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    secured.write("oidc-secret", "close-sesame\n");
    for line in ["topic list", "record tail orders --offset 0 --count 1 --timeout 10s"] {
        let began = Instant::now();
        let ran = secured.run(format!("{line} --context-file {contexts}")).await;
        assert_eq!(ran.status, 3, "{line}\n{}{}", ran.stdout, ran.stderr);
        for wanted in [url.as_str(), "401", "invalid_client"] {
            assert!(ran.stderr.contains(wanted), "{line}: wanted {wanted}: {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("sesame"), "{}", ran.stderr);
        assert!(began.elapsed() < SOON, "{line}: {:?}: {}", began.elapsed(), ran.stderr);
    }

    // Nobody there: the server is named, and no broker is called down for it.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let gone = secured.write(
        "gone.properties",
        &fs_read(&java).replace(&url, &format!("https://{closed}/token")),
    );
    let began = Instant::now();
    let ran = secured
        .run(format!(
            "triage -o json --bootstrap {bootstrap} --command-config {gone}"
        ))
        .await;
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    let triage = ran.envelope("triage");
    assert_eq!(triage["culprit"]["kind"], "none", "{triage:#}");
    assert!(
        triage["problems"].to_string().contains("cannot be reached"),
        "{triage:#}"
    );
    assert!(
        triage["problems"].to_string().contains(&closed.to_string()),
        "{triage:#}"
    );
    assert!(began.elapsed() < 3 * SOON, "{:?}", began.elapsed());
}

fn fs_read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}
