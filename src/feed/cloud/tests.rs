//! What AWS denies is not asked for in a loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::model::Trouble;
use crate::model::cluster::Cluster;
use crate::source::aws::Options;

type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// An endpoint of EC2 that denies everything, and how often each action was asked for.
async fn denying() -> (String, Asked) {
    let asked = Asked::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let counts = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(deny(stream, Arc::clone(&counts)));
        }
    });
    (url, asked)
}

async fn deny(mut stream: TcpStream, asked: Asked) {
    const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>UnauthorizedOperation</Code>\
                        <Message>no</Message></Error></Errors><RequestID>r-1</RequestID></Response>";
    let mut request = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut bytes).await else {
            return;
        };
        request.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let whole = text.split_once("Action=").filter(|(_, rest)| rest.contains("Version="));
        let Some((_, rest)) = whole else { continue };
        let action = rest.split('&').next().unwrap_or_default().to_owned();
        *asked.lock().unwrap().entry(action).or_default() += 1;
        request.clear();
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n",
            BODY.len()
        );
        if stream.write_all(format!("{head}{BODY}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A plane there, and a store that knows a cluster and an instance of an earlier answer.
fn plane(url: &str) -> (Plane, Store) {
    let options = Options {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url.to_owned()),
        simulated: true,
        ..Options::default()
    };
    let plane = Plane::new(Aws::connect(options).map_err(|error| error.to_string()), None);
    let mut snapshot = Snapshot {
        cloud: plane.unasked(),
        ..Snapshot::default()
    };
    let cluster = Cluster {
        id: "one".to_owned(),
        controller: None,
        brokers: Vec::new(),
        version: None,
    };
    snapshot.cluster = Observed::fresh(cluster, Moment::now());
    let known = Instances::from([("i-1".to_owned(), Instance::default())]);
    let zones = &mut snapshot.cloud.instances;
    zones.insert("a".to_owned(), Observed::fresh(known, Moment::now()));
    (plane, Store::new(snapshot, crate::model::identity::Rules::default()))
}

#[tokio::test]
async fn what_is_denied_is_asked_once_until_a_person_asks() {
    let (url, asked) = denying().await;
    let (plane, store) = plane(&url);
    let counts = || asked.lock().unwrap().clone();
    let look = async || {
        let (instances, volumes) = (plane.instances(&store).await, plane.volumes(&store).await);
        assert!(instances.failed && volumes.failed);
    };
    look().await;
    let first = counts();
    for action in ["DescribeAvailabilityZones", "DescribeInstances", "DescribeVolumes"] {
        assert_eq!(first.get(action), Some(&1), "{first:?}");
    }
    for _ in 0..3 {
        look().await;
    }
    assert_eq!(counts(), first, "nothing was asked again");
    // It is told as long as it is remembered.
    store.read(|snapshot| {
        let told = &snapshot.cloud.calls["DescribeVolumes"].health;
        assert!(
            matches!(told, Health::Failing { trouble: Trouble::Denied, reason, .. } if reason.contains("ec2:DescribeVolumes")),
            "{told:?}"
        );
    });
    plane.ask_again();
    look().await;
    let twice: BTreeMap<String, usize> = first.into_iter().map(|(action, count)| (action, count * 2)).collect();
    assert_eq!(counts(), twice);
}
