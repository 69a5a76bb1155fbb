//! Tests of `DescribeInstances`.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use sandbox::aws::{Aws, Instance, InstanceState, Lifecycle, StateReason};

use super::client::{Client, elements};

async fn start() -> (Aws, Client) {
    let aws = Aws::builder().start().await.unwrap();
    let client = Client::new(&aws);
    (aws, client)
}

fn node(number: u64) -> Instance {
    Instance::spot(number, "eu-central-1b")
}

async fn ids(client: &Client, parameters: &[(&str, &str)]) -> Vec<String> {
    let reply = client.describe(parameters).await.ok();
    elements(reply.text(), "instanceId").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn describes_instances() {
    let (aws, client) = start().await;
    let launched = SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_355_605_700);
    aws.launch(
        Instance::spot(0x0b66_2ef9_9313_88ba, "eu-central-1b")
            .launched(launched)
            .instance_type("m6i.xlarge")
            .karpenter("prod", "default")
            .tag("note", "<&>")
            .operator("eks.amazonaws.com"),
    );
    let reply = client.describe(&[]).await.ok();
    assert_eq!(reply.headers["content-type"], "text/xml;charset=UTF-8");
    let xml = reply.text();
    assert!(xml.contains(r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">"#));
    for element in [
        "<ownerId>123456789012</ownerId>",
        "<instanceId>i-00b662ef9931388ba</instanceId>",
        "<instanceState><code>16</code><name>running</name></instanceState>",
        "<reason/>",
        "<instanceType>m6i.xlarge</instanceType>",
        "<launchTime>2026-03-01T09:00:05.000Z</launchTime>",
        "<placement><availabilityZone>eu-central-1b</availabilityZone><availabilityZoneId>euc1-az2</availabilityZoneId>",
        "<instanceLifecycle>spot</instanceLifecycle>",
        "<spotInstanceRequestId>sir-931388ba</spotInstanceRequestId>",
        "<item><key>karpenter.sh/nodepool</key><value>default</value></item>",
        "<item><key>note</key><value>&lt;&amp;&gt;</value></item>",
        "<operator><managed>true</managed><principal>eks.amazonaws.com</principal><hiddenByDefault>false</hiddenByDefault></operator>",
    ] {
        assert!(xml.contains(element), "{element} in {xml}");
    }
    assert!(!xml.contains("nextToken") && !xml.contains("stateReason"), "{xml}");
}

#[tokio::test]
async fn shows_why_an_instance_ended() {
    let (aws, client) = start().await;
    aws.launch_all([
        node(1).eks("prod", "a"),
        node(2),
        node(3).state(InstanceState::Terminated).reason("Server.SpotInstanceTermination", None),
    ]);
    let ended = aws.terminate(&node(1).id, StateReason::SpotTermination).unwrap();
    aws.terminate(&node(2).id, "Client.UserInitiatedShutdown").unwrap();
    assert_eq!(aws.terminate("i-unknown", ""), None);
    let text = client.describe(&[]).await.ok().text().to_owned();
    let at = humantime_seconds(ended.reason.unwrap().at.unwrap());
    assert_eq!(
        elements(&text, "reason"),
        [&format!("Service initiated ({at} GMT)"), &format!("User initiated ({at} GMT)")][..]
    );
    assert!(text.contains(
        "<stateReason><code>Server.SpotInstanceTermination</code><message>Server.SpotInstanceTermination: Spot instance termination</message></stateReason>"
    ));
    assert!(text.contains("<code>48</code><name>terminated</name>"), "{text}");
    aws.configure_ec2(|ec2| ec2.time_zone = "UTC");
    let text = client.describe(&[]).await.ok().text().to_owned();
    assert!(text.contains(&format!("({at} UTC)")), "{text}");

    // Terminated instances lose their tags and disappear.
    aws.configure_ec2(|ec2| ec2.tag_loss = Some(Duration::ZERO));
    assert!(!client.describe(&[]).await.text().contains("tagSet"));
    assert_eq!(aws.instance(&node(1).id).unwrap().tags.len(), 7, "the handle returns all tags");
    aws.configure_ec2(|ec2| ec2.terminated_retention = Duration::ZERO);
    assert_eq!(ids(&client, &[]).await, Vec::<String>::new());
    assert!(aws.remove(&node(1).id).is_some());
}

fn humantime_seconds(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

#[tokio::test]
async fn pages_are_complete_and_distinct() {
    let (aws, client) = start().await;
    aws.launch_all((0..23).map(node));
    let mut seen = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let parameters = [("MaxResults", "10"), ("NextToken", token.as_str())];
        let reply = client.describe(&parameters[..if pages == 0 { 1 } else { 2 }]).await.ok();
        seen.extend(elements(reply.text(), "instanceId").into_iter().map(str::to_owned));
        pages += 1;
        token = reply.element("nextToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((pages, seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (3, 23, 23));

    let first = client.describe(&[("MaxResults", "5")]).await.ok();
    let token = first.element("nextToken");
    // The token belongs to the request and to the region.
    let other = [
        ("MaxResults", "5"),
        ("NextToken", token.as_str()),
        ("Filter.1.Name", "instance-lifecycle"),
        ("Filter.1.Value.1", "spot"),
    ];
    client.describe(&other).await.failed(400, "InvalidNextToken");
    client.clone().region("us-east-1").describe(&other[..2]).await.failed(400, "InvalidNextToken");
    client.describe(&[("NextToken", "nonsense")]).await.failed(400, "InvalidNextToken");
    aws.configure_ec2(|ec2| ec2.repeat_token = true);
    let second = client.describe(&[("MaxResults", "5"), ("NextToken", &token)]).await.ok();
    assert_eq!(second.element("nextToken"), token);
}

#[tokio::test]
async fn filters_instances() {
    let (aws, client) = start().await;
    aws.launch_all([
        node(1).eks("prod", "a"),
        Instance::new(2, "eu-central-1a").eks("prod", "a"),
        node(3).kops("test", "nodes").state(InstanceState::Stopped),
        node(4).lifecycle(Lifecycle::CapacityBlock).instance_type("p5.48xlarge"),
        node(5).hidden().operator("eks.amazonaws.com"),
    ]);
    let id = |numbers: &[u64]| numbers.iter().map(|number| node(*number).id).collect::<Vec<_>>();
    for (parameters, expected) in [
        (&[("Filter.1.Name", "instance-lifecycle"), ("Filter.1.Value.1", "spot")][..], id(&[1, 3])),
        (
            &[
                ("Filter.1.Name", "instance-lifecycle"),
                ("Filter.1.Value.1", "spot"),
                ("Filter.1.Value.2", "capacity-block"),
            ],
            id(&[1, 3, 4]),
        ),
        (
            &[
                ("Filter.1.Name", "instance-id"),
                ("Filter.1.Value.1", "i-00000000000000002"),
                ("Filter.1.Value.2", "i-0ffffffffffffffff"),
            ],
            id(&[2]),
        ),
        (&[("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", "stopped")], id(&[3])),
        (&[("Filter.1.Name", "tag-key"), ("Filter.1.Value.1", "kubernetes.io/cluster/*")], id(&[1, 2])),
        (&[("Filter.1.Name", "tag:KubernetesCluster"), ("Filter.1.Value.1", "test")], id(&[3])),
        (&[("Filter.1.Name", "availability-zone"), ("Filter.1.Value.1", "eu-central-1a")], id(&[2])),
        (&[("Filter.1.Name", "instance-type"), ("Filter.1.Value.1", "p5.*")], id(&[4])),
        (
            &[
                ("Filter.1.Name", "tag-key"),
                ("Filter.1.Value.1", "eks:*"),
                ("Filter.2.Name", "instance-lifecycle"),
                ("Filter.2.Value.1", "spot"),
            ],
            id(&[1]),
        ),
        (&[("IncludeManagedResources", "true")], id(&[1, 2, 3, 4, 5])),
        (&[("InstanceId.1", "i-00000000000000002")], id(&[2])),
    ] {
        assert_eq!(ids(&client, parameters).await, expected, "{parameters:?}");
    }
    aws.configure_ec2(|ec2| ec2.reject_managed_resources = true);
    client.describe(&[("IncludeManagedResources", "true")]).await.failed(400, "UnknownParameter");
}

#[tokio::test]
async fn separates_accounts_and_regions() {
    let (aws, client) = start().await;
    aws.add_key("other", "secret", "210987654321");
    aws.launch_all([node(1), Instance::spot(2, "us-east-1c"), node(3).account("210987654321")]);
    assert_eq!(ids(&client, &[]).await, [node(1).id]);
    assert_eq!(ids(&client.clone().region("us-east-1"), &[]).await, [node(2).id]);
    assert_eq!(ids(&client.key("other", "secret", None), &[]).await, [node(3).id]);
}

#[tokio::test]
async fn rejects_invalid_requests() {
    let (aws, client) = start().await;
    aws.launch(node(1));
    let many: Vec<(String, String)> =
        (1..=201).map(|number| (format!("Filter.1.Value.{number}"), format!("i-{number}"))).collect();
    let mut many: Vec<(&str, &str)> =
        many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    many.push(("Filter.1.Name", "instance-id"));
    for (parameters, code) in [
        (&[("MaxResults", "4")][..], "InvalidParameterValue"),
        (&[("MaxResults", "1001")], "InvalidParameterValue"),
        (&[("MaxResults", "5"), ("InstanceId.1", "i-00000000000000001")], "InvalidParameterCombination"),
        (
            &[("InstanceId.1", "i-0ffffffffffffffff"), ("InstanceId.2", "i-00000000000000001")],
            "InvalidInstanceID.NotFound",
        ),
        (&[("InstanceId.1", "i-nonsense")], "InvalidInstanceID.Malformed"),
        (&[("Filter.1.Name", "nonsense"), ("Filter.1.Value.1", "x")], "InvalidParameterValue"),
        (&[("Filter.1.Name", "instance-id")], "InvalidParameterValue"),
        (&many, "FilterLimitExceeded"),
        (&[("Nonsense", "x")], "UnknownParameter"),
    ] {
        client.describe(parameters).await.failed(400, code);
    }
}

#[tokio::test]
async fn has_the_size_and_order_of_real_responses() {
    let (aws, client) = start().await;
    aws.launch_all((1..=20).map(|number| node(number).karpenter("prod", "default")));
    let plain = client.describe(&[]).await.ok();
    aws.configure_ec2(|ec2| ec2.padding = 8_000);
    let padded = client.describe(&[]).await.ok();
    let size = padded.body.len() / 20;
    assert!((8_000..9_000).contains(&size), "{size} bytes for each instance");
    assert!(plain.body.len() / 20 > 2_000);

    aws.configure_ec2(|ec2| ec2.shuffle = true);
    let shuffled = client.describe(&[("MaxResults", "5")]).await.ok();
    assert_ne!(shuffled.text().find("<instanceState>"), padded.text().find("<instanceState>"));
    assert_eq!(elements(shuffled.text(), "instanceId").len(), 5);
    assert!(!shuffled.element("nextToken").is_empty());
    aws.configure_ec2(|ec2| ec2.cut = Some(5_000));
    assert_eq!(client.describe(&[]).await.ok().body.len(), 5_000);
}

#[tokio::test]
async fn new_instances_can_be_missing_for_a_moment() {
    let (aws, client) = start().await;
    aws.configure_ec2(|ec2| ec2.appearance_delay = Duration::from_secs(3600));
    aws.launch(node(1));
    assert!(ids(&client, &[]).await.is_empty());
    aws.configure_ec2(|ec2| ec2.appearance_delay = Duration::ZERO);
    assert_eq!(ids(&client, &[]).await.len(), 1);
}
