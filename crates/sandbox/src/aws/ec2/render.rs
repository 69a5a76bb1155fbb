//! The XML of instances.

use std::fmt::Write as _;

use rand::{RngExt as _, rngs::StdRng};

use super::{
    instance::{Instance, InstanceState},
    settings::Ec2Settings,
};
use crate::aws::{
    time::{spaced, whole_millis},
    xml::{element, escaped},
};

/// Elements of every instance that say nothing about interruptions.
const CONSTANT: &[&str] = &[
    "<imageId>ami-0abcdef1234567890</imageId>",
    "<privateDnsName>ip-10-0-31-17.eu-central-1.compute.internal</privateDnsName>",
    "<dnsName/>",
    "<amiLaunchIndex>0</amiLaunchIndex>",
    "<productCodes/>",
    "<monitoring><state>disabled</state></monitoring>",
    "<subnetId>subnet-0c6b1f0b4f7dd5f9e</subnetId><vpcId>vpc-04e1d1ec5c4d1f1a0</vpcId>",
    "<privateIpAddress>10.0.31.17</privateIpAddress>",
    "<sourceDestCheck>true</sourceDestCheck>",
    "<groupSet><item><groupId>sg-08f2a3ad3bb2f0a3e</groupId><groupName>nodes</groupName></item></groupSet>",
    "<architecture>x86_64</architecture>",
    "<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>",
    "<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0f1f2f3f4f5f6f7f8</volumeId>\
     <status>attached</status><attachTime>2026-03-01T09:00:06.000Z</attachTime>\
     <deleteOnTermination>true</deleteOnTermination></ebs></item></blockDeviceMapping>",
    "<virtualizationType>hvm</virtualizationType><hypervisor>xen</hypervisor>",
    "<clientToken>fleet-5f1c6b0e-0f5e-4c2f-8a33-0</clientToken>",
    "<ebsOptimized>true</ebsOptimized><enaSupport>true</enaSupport>",
    "<cpuOptions><coreCount>2</coreCount><threadsPerCore>2</threadsPerCore></cpuOptions>",
    "<capacityReservationSpecification><capacityReservationPreference>open</capacityReservationPreference>\
     </capacityReservationSpecification>",
    "<hibernationOptions><configured>false</configured></hibernationOptions>",
    "<enclaveOptions><enabled>false</enabled></enclaveOptions>",
    "<metadataOptions><state>applied</state><httpTokens>required</httpTokens>\
     <httpPutResponseHopLimit>1</httpPutResponseHopLimit><httpEndpoint>enabled</httpEndpoint></metadataOptions>",
];

/// Returns a response with a page of instances.
pub(super) fn response(
    instances: &[Instance],
    next_token: Option<&str>,
    request_id: &str,
    settings: &Ec2Settings,
    rng: &mut StdRng,
) -> String {
    let mut set = String::from("<reservationSet>");
    for instance in instances {
        let mut elements = Vec::new();
        push(&mut elements, "reservationId", &format!("r-{}", instance.id.trim_start_matches("i-")));
        push(&mut elements, "ownerId", &instance.account);
        elements.push("<groupSet/>".to_owned());
        elements.push(format!("<instancesSet><item>{}</item></instancesSet>", item(instance, settings, rng)));
        let _ = write!(set, "<item>{}</item>", joined(elements, settings, rng));
    }
    set.push_str("</reservationSet>");
    let mut elements = Vec::new();
    push(&mut elements, "requestId", request_id);
    elements.push(set);
    if let Some(token) = next_token {
        push(&mut elements, "nextToken", token);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">{}</DescribeInstancesResponse>",
        joined(elements, settings, rng)
    )
}

/// Returns the elements of an instance.
fn item(instance: &Instance, settings: &Ec2Settings, rng: &mut StdRng) -> String {
    let mut elements: Vec<String> = CONSTANT.iter().map(ToString::to_string).collect();
    push(&mut elements, "instanceId", &instance.id);
    elements.push(format!(
        "<instanceState><code>{}</code><name>{}</name></instanceState>",
        instance.state.code(),
        instance.state.name()
    ));
    push(&mut elements, "instanceType", &instance.instance_type);
    push(&mut elements, "launchTime", &whole_millis(instance.launched));
    elements.push(format!(
        "<placement><availabilityZone>{zone}</availabilityZone><availabilityZoneId>{zone_id}</availabilityZoneId>\
         <groupName/><tenancy>default</tenancy></placement>",
        zone = escaped(&instance.zone),
        zone_id = zone_id(&instance.zone),
    ));
    reason(&mut elements, instance, settings);
    if let Some(lifecycle) = instance.lifecycle.name() {
        push(&mut elements, "instanceLifecycle", lifecycle);
    }
    if instance.lifecycle.name() == Some("spot") {
        push(&mut elements, "spotInstanceRequestId", &instance.spot_request());
    }
    if !instance.tags.is_empty() {
        elements.push(tags(instance, settings, rng));
    }
    elements.push(match &instance.operator {
        Some(principal) => format!(
            "<operator><managed>true</managed><principal>{}</principal><hiddenByDefault>{}</hiddenByDefault></operator>",
            escaped(principal),
            instance.is_hidden
        ),
        None => "<operator><managed>false</managed></operator>".to_owned(),
    });
    let size = elements.iter().map(String::len).sum();
    elements.push(network_interfaces(size, settings.padding, instance));
    joined(elements, settings, rng)
}

fn reason(elements: &mut Vec<String>, instance: &Instance, settings: &Ec2Settings) {
    let Some(reason) = &instance.reason else {
        elements.push("<reason/>".to_owned());
        return;
    };
    let code = escaped(&reason.code);
    let (initiator, message) = match reason.code.as_str() {
        "Client.UserInitiatedShutdown" => ("User initiated", "User initiated shutdown"),
        "Client.InstanceInitiatedShutdown" => ("Instance initiated", "Instance initiated shutdown"),
        "Server.SpotInstanceTermination" => ("Service initiated", "Spot instance termination"),
        "Server.SpotInstanceShutdown" => ("Service initiated", "Spot instance shutdown"),
        _ => ("Service initiated", "unknown"),
    };
    match reason.at {
        Some(at) => push(elements, "reason", &format!("{initiator} ({} {})", spaced(at), settings.time_zone)),
        None => elements.push("<reason/>".to_owned()),
    }
    if instance.state != InstanceState::Running {
        elements.push(format!(
            "<stateReason><code>{code}</code><message>{code}: {message}</message></stateReason>"
        ));
    }
}

fn tags(instance: &Instance, settings: &Ec2Settings, rng: &mut StdRng) -> String {
    let items = instance.tags.iter().map(|(key, value)| {
        let mut item = String::from("<item>");
        element(&mut item, "key", key);
        element(&mut item, "value", value);
        item.push_str("</item>");
        item
    });
    format!("<tagSet>{}</tagSet>", joined(items.collect(), settings, rng))
}

/// Returns a network interface with as many addresses as are missing from `padding` bytes.
fn network_interfaces(size: usize, padding: usize, instance: &Instance) -> String {
    if instance.state == InstanceState::Terminated {
        return "<networkInterfaceSet/>".to_owned();
    }
    let mut xml = String::from(
        "<networkInterfaceSet><item><networkInterfaceId>eni-0a1b2c3d4e5f60718</networkInterfaceId>\
         <status>in-use</status><macAddress>02:d7:41:5c:0f:aa</macAddress>\
         <sourceDestCheck>true</sourceDestCheck><attachment><attachmentId>eni-attach-0a1b2c3d4e5f60718</attachmentId>\
         <deviceIndex>0</deviceIndex><status>attached</status><deleteOnTermination>true</deleteOnTermination>",
    );
    element(&mut xml, "attachTime", &whole_millis(instance.launched));
    xml.push_str("</attachment><privateIpAddressesSet>");
    let mut address = 0_u8;
    while size + xml.len() < padding {
        let primary = address == 0;
        let _ = write!(
            xml,
            "<item><privateIpAddress>10.0.31.{address}</privateIpAddress><privateDnsName>ip-10-0-31-{address}.\
             eu-central-1.compute.internal</privateDnsName><primary>{primary}</primary></item>"
        );
        address = address.wrapping_add(1);
    }
    xml.push_str("</privateIpAddressesSet><ipv6AddressesSet/></item></networkInterfaceSet>");
    xml
}

/// Returns an id of a zone, which is the same in all accounts: `euc1-az2`.
fn zone_id(zone: &str) -> String {
    let letter = zone.bytes().last().unwrap_or(b'a');
    let region = zone.trim_end_matches(|character: char| character.is_ascii_lowercase());
    let mut id = String::new();
    for part in region.split('-') {
        match part.chars().next() {
            Some(first) if id.is_empty() => id.push_str(part.get(..2).unwrap_or(&first.to_string())),
            Some(first) => id.push(first),
            None => {}
        }
    }
    format!("{id}-az{}", letter.saturating_sub(b'a') + 1)
}

fn push(elements: &mut Vec<String>, name: &str, text: &str) {
    let mut xml = String::new();
    element(&mut xml, name, text);
    elements.push(xml);
}

/// Joins elements, in a random order if the settings say so.
fn joined(mut elements: Vec<String>, settings: &Ec2Settings, rng: &mut StdRng) -> String {
    if settings.shuffle {
        for index in (1..elements.len()).rev() {
            elements.swap(index, rng.random_range(0..=index));
        }
    }
    elements.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_zone_ids() {
        assert_eq!(zone_id("eu-central-1b"), "euc1-az2");
        assert_eq!(zone_id("us-east-1f"), "use1-az6");
    }
}
