//! The property files that people have, and what becomes of them.

use std::fs;
use std::path::Path;

use super::super::{Connection, Property, java};
use super::*;
use crate::settings::Error;

fn security(lines: &str) -> Result<Security, String> {
    let properties = java::parse(Path::new("f"), lines).unwrap();
    let connection = Connection::of(&properties).map_err(|error| error.to_string())?;
    Ok(connection.security)
}

/// A PEM store that need not hold a certificate.
fn store() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n").unwrap();
    file
}

#[test]
fn javas_file_with_scram_over_tls_is_understood() {
    let trust = store();
    let security = security(&format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=JKS\n\
         ssl.truststore.location={}\nssl.truststore.password=changeit\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n\
         username=\"alice\" password=\"open sesame\";\n",
        trust.path().display()
    ))
    .unwrap();
    let shown = format!("{security:?}");
    assert!(!shown.contains("sesame") && !shown.contains("changeit"), "{shown}");
    assert_eq!(security.to_string(), "SASL_SSL SCRAM-SHA-512");
    let tls = security.tls.unwrap();
    assert!(tls.checks_host && tls.identity.is_none());
    assert_eq!(
        tls.trust,
        Some(Trust::File {
            path: trust.path().to_owned(),
            password: Some(Secret::text("changeit")),
        })
    );
    assert_eq!(
        security.sasl,
        Some(Sasl::Password {
            mechanism: Mechanism::ScramSha512,
            user: Secret::text("alice"),
            password: Secret::text("open sesame"),
        })
    );
}

#[test]
fn librdkafkas_names_are_understood() {
    let (trust, certificate, key) = (store(), store(), store());
    let security = security(&format!(
        "security.protocol=ssl\nssl.ca.location={}\nssl.certificate.location={}\nssl.key.location={}\n\
         ssl.key.password=k\nssl.endpoint.identification.algorithm=none\n",
        trust.path().display(),
        certificate.path().display(),
        key.path().display()
    ))
    .unwrap();
    let tls = security.tls.unwrap();
    assert!(!tls.checks_host && security.sasl.is_none());
    assert_eq!(
        tls.identity,
        Some(Identity::Pair {
            certificate: Secret::File(certificate.path().to_owned()),
            key: Secret::File(key.path().to_owned()),
        })
    );
    let plain = "security.protocol=sasl_plaintext\nsasl.mechanisms=PLAIN\nsasl.username=u\nsasl.password=p\n";
    let sasl = super::tests::security(plain).unwrap();
    assert!(
        sasl.tls.is_none()
            && matches!(
                sasl.sasl,
                Some(Sasl::Password {
                    mechanism: Mechanism::Plain,
                    ..
                })
            )
    );
}

#[test]
fn a_token_comes_from_a_file_or_a_command() {
    let java = "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n\
                sasl.oauthbearer.token.endpoint.url=file:///run/token\n\
                sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;\n\
                sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n";
    assert_eq!(
        security(java).unwrap().sasl,
        Some(Sasl::Token(Secret::File("/run/token".into())))
    );
    let bare = security("security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n").unwrap_err();
    assert!(bare.contains("\"sasl.oauthbearer.token\" = { command"), "{bare}");
}

#[test]
fn a_token_endpoint_is_named_in_javas_words_and_in_librdkafkas() {
    let head = "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n\
                sasl.oauthbearer.token.endpoint.url=https://idp/token\n";
    let java = "sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                clientId=\"azimuth\" clientSecret=\"open sesame\" scope=\"kafka\" extension_logicalCluster=\"lkc-1\";\n";
    let librdkafka = "sasl.oauthbearer.method=oidc\nsasl.oauthbearer.client.id=azimuth\n\
                      sasl.oauthbearer.client.secret=open sesame\nsasl.oauthbearer.scope=kafka\n\
                      sasl.oauthbearer.extensions=logicalCluster=lkc-1\n";
    let wanted = Sasl::Endpoint(Box::new(TokenEndpoint {
        url: "https://idp/token".to_owned(),
        client_id: Secret::text("azimuth"),
        client_secret: Secret::text("open sesame"),
        scope: Some("kafka".to_owned()),
        extensions: [("logicalCluster".to_owned(), "lkc-1".to_owned())].into(),
        trust: None,
        encodes_header: false,
    }));
    for lines in [java, librdkafka] {
        let found = security(&format!("{head}{lines}")).unwrap();
        assert_eq!(found.sasl.as_ref(), Some(&wanted));
        assert!(!format!("{found:?}").contains("sesame"));
    }
}

#[test]
fn what_cannot_be_honoured_names_the_line_and_the_way_round() {
    let head = "security.protocol=SASL_SSL\n";
    for (lines, wanted) in [
        (
            "sasl.mechanism=GSSAPI\n",
            "f:2: sasl.mechanism: GSSAPI (Kerberos) is deliberately",
        ),
        ("sasl.mechanism=AWS_MSK_IAM\n", "port 9096"),
        (
            "sasl.mechanism=PLAIN\n",
            "f:2: sasl.mechanism: PLAIN needs a user and a password",
        ),
        ("sasl.mechanism=SCRAM\n", "`SCRAM` is not one of PLAIN, SCRAM-SHA-256"),
        ("sasl.username=u\n", "f:1: security.protocol: it needs sasl.mechanism"),
        (
            "sasl.mechanism=PLAIN\nsasl.jaas.config=com.corp.VaultLoginModule required password=\"sesame\";\n",
            "f:3: sasl.jaas.config: the login module VaultLoginModule cannot be run here",
        ),
        (
            "sasl.mechanism=PLAIN\nsasl.jaas.config=a.PlainLoginModule required password=\"sesame\"\n",
            "must end with a semicolon",
        ),
        (
            "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp/token\n",
            "sasl.oauthbearer.token.endpoint.url: it needs a client and its secret",
        ),
        (
            "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=idp/token\n",
            "f:3: sasl.oauthbearer.token.endpoint.url: `idp/token` is no URL",
        ),
        (
            "sasl.mechanism=OAUTHBEARER\nsasl.jaas.config=a.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"x\";\n",
            "f:3: sasl.jaas.config: tokens are not made here",
        ),
        (
            "enable.ssl.certificate.verification=false\n",
            "certificates are always checked",
        ),
        ("ssl.endpoint.identification.algorithm=dns\n", "is not https, or empty"),
        ("ssl.trustore.location=/x\n", "did you mean ssl.truststore.location?"),
        (
            "ssl.ca.location=/no/such\n",
            "f:2: ssl.ca.location: cannot read /no/such",
        ),
        (
            "ssl.certificate.pem=x\n",
            "f:2: ssl.certificate.pem: it needs ssl.key.pem beside it",
        ),
    ] {
        let error = security(&format!("{head}{lines}")).unwrap_err();
        assert!(
            error.contains(wanted) && !error.contains("sesame"),
            "{error}\nwanted {wanted}"
        );
        assert_eq!(error.matches(wanted).count(), 1, "told once: {error}");
    }
}

#[test]
fn a_property_without_its_protocol_is_no_silent_plaintext() {
    let error = security("sasl.mechanism=PLAIN\n").unwrap_err();
    assert!(
        error.contains("security.protocol is not, whose default is PLAINTEXT"),
        "{error}"
    );
    let properties = java::parse(Path::new("f"), "security.protocol=PLAINTEXT\nsasl.username=u\n").unwrap();
    let connection = Connection::of(&properties).unwrap();
    assert_eq!(connection.security, Security::default());
    assert_eq!(
        connection.notes,
        ["f:2: sasl.username has no effect with security.protocol=PLAINTEXT"]
    );
}

#[test]
fn only_a_secret_is_looked_up_elsewhere() {
    let property = |key: &str| Property {
        key: key.to_owned(),
        value: Secret::Environment("X".to_owned()),
        place: super::super::Place::Argument,
    };
    let error: Result<_, Error> = Connection::of(&[property("client.id")]);
    assert!(error.unwrap_err().to_string().contains("only a secret may come from"));
}
