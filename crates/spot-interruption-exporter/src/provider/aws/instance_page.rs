//! A page of `DescribeInstances`.
//!
//! A complete listing also shows which instances are gone. Therefore the structure of a response is parsed strictly, and
//! only its instances leniently. The order of elements is not defined. The document is read element by element; what is
//! not needed is skipped without being built.

use std::borrow::Cow;

use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

use super::instance_id;
use super::tags::{Tag, TagKeys};
use crate::instance::{Instance, InstanceRef};

/// Maximum depth of elements. Real responses are a dozen elements deep.
const MAX_DEPTH: usize = 64;

/// Contents of a page.
#[derive(Debug, Default)]
pub struct InstancePage {
    /// The spot instances with an id.
    pub instances: Vec<Described>,
    /// Token of the next page.
    pub next: Option<String>,
}

/// A described instance.
#[derive(Debug, PartialEq)]
pub struct Described {
    /// The instance.
    pub instance: Instance<'static>,
    /// The end of the instance, if EC2 has ended it.
    pub interrupted: Option<Interrupted>,
}

/// An instance that EC2 has taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// Time of the interruption.
    pub at: Option<Timestamp>,
}

/// The fields of an instance.
#[derive(Debug, Default)]
struct RawInstance<'a> {
    id: Option<Cow<'a, str>>,
    lifecycle: Option<Cow<'a, str>>,
    state: Option<Cow<'a, str>>,
    state_reason: Option<Cow<'a, str>>,
    transition: Option<Cow<'a, str>>,
    machine_type: Option<Cow<'a, str>>,
    launch_time: Option<Cow<'a, str>>,
    zone: Option<Cow<'a, str>>,
    tags: Vec<Tag<'a>>,
    key: Option<Cow<'a, str>>,
    value: Option<Cow<'a, str>>,
}

/// Codes of states that EC2 has caused. Other codes name the user, or a failed start.
const INTERRUPTED: [&str; 2] = ["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"];

/// Lifecycles of instances that EC2 can take back.
const INTERRUPTIBLE: [&str; 2] = ["spot", "interruptible-capacity-reservation"];

/// Paths of elements in a response.
const ROOT: &str = "/DescribeInstancesResponse";
const LIST: &str = "/DescribeInstancesResponse/reservationSet";
const NEXT: &str = "/DescribeInstancesResponse/nextToken";
const INSTANCE: &str = "/DescribeInstancesResponse/reservationSet/item/instancesSet/item";

impl InstancePage {
    /// Parses a response for the account and the region that were requested.
    ///
    /// # Errors
    /// Returns an error if the response has another structure.
    pub fn parse(response: &[u8], account: &str, region: &str, tags: &TagKeys) -> Result<Self, String> {
        Self::read(response, account, region, tags)
            .map_err(|error| format!("the response is not a list of instances: {error}"))
    }

    fn read(response: &[u8], account: &str, region: &str, tags: &TagKeys) -> Result<Self, String> {
        let text = str::from_utf8(response).map_err(|error| error.to_string())?;
        let mut parser = PageParser {
            account,
            region,
            tags,
            path: ElementPath::default(),
            content: None,
            instance: RawInstance::default(),
            has_list: false,
            page: Self::default(),
        };
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => parser.start(start.local_name().as_ref())?,
                Event::Empty(start) => {
                    parser.start(start.local_name().as_ref())?;
                    parser.end();
                }
                Event::End(_) => parser.end(),
                Event::Text(part) => parser.text(part.xml10_content()),
                Event::CData(part) => parser.text(part.xml10_content()),
                Event::GeneralRef(reference) => {
                    let reference = format!("&{};", &*reference);
                    let character = unescape(&reference).map_err(|error| error.to_string())?;
                    parser.text(Cow::Owned(character.into_owned()));
                }
                Event::DocType(_) => return Err("it has a document type".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return parser.finish(),
            }
        }
    }
}

/// The names of the open elements.
#[derive(Debug, Default)]
struct ElementPath {
    /// Each name with a slash before it.
    text: String,
    /// Length of the text before each name.
    starts: Vec<usize>,
}

impl ElementPath {
    fn push(&mut self, name: &str) -> Result<(), String> {
        if self.starts.len() >= MAX_DEPTH {
            return Err(format!("it is more than {MAX_DEPTH} elements deep"));
        }
        self.starts.push(self.text.len());
        self.text.push('/');
        self.text.push_str(name);
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.text.truncate(start);
        }
    }
}

/// Reads a page element by element.
#[derive(Debug)]
struct PageParser<'a> {
    account: &'a str,
    region: &'a str,
    tags: &'a TagKeys,
    path: ElementPath,
    /// Text of the current element, if it is needed.
    content: Option<Cow<'a, str>>,
    instance: RawInstance<'a>,
    /// Whether the response contains the list, empty or not.
    has_list: bool,
    page: InstancePage,
}

impl<'a> PageParser<'a> {
    fn start(&mut self, name: &str) -> Result<(), String> {
        self.path.push(name)?;
        let path = &*self.path.text;
        if !path.starts_with(ROOT) || (self.path.starts.len() == 1 && path != ROOT) {
            return Err(format!("its root is {name}"));
        }
        self.has_list |= path == LIST;
        let is_needed = path == NEXT || is_field(path);
        self.content = is_needed.then_some(Cow::Borrowed(""));
        Ok(())
    }

    fn text(&mut self, part: Cow<'a, str>) {
        if let Some(content) = &mut self.content {
            match content.is_empty() {
                true => *content = part,
                false => content.to_mut().push_str(&part),
            }
        }
    }

    fn end(&mut self) {
        let content = self.content.take().filter(|content| !content.is_empty());
        match self.path.text.strip_prefix(INSTANCE) {
            Some("") => self.end_instance(),
            Some("/tagSet/item") => {
                let (key, value) = (self.instance.key.take(), self.instance.value.take());
                self.instance.tags.extend(key.map(|key| (key, value.unwrap_or_default())));
            }
            Some(field) => {
                if let Some(target) = self.instance.field(field) {
                    *target = content;
                }
            }
            None if self.path.text == NEXT => self.page.next = content.map(Cow::into_owned),
            None => {}
        }
        self.path.pop();
    }

    fn end_instance(&mut self) {
        let instance = std::mem::take(&mut self.instance);
        self.page.instances.extend(instance.describe(self.account, self.region, self.tags));
    }

    fn finish(self) -> Result<InstancePage, String> {
        if !self.path.starts.is_empty() {
            return Err("it is truncated".to_owned());
        }
        if !self.has_list {
            return Err("it has no reservationSet".to_owned());
        }
        Ok(self.page)
    }
}

fn is_field(path: &str) -> bool {
    path.strip_prefix(INSTANCE).is_some_and(|field| RawInstance::default().field(field).is_some())
}

impl<'a> RawInstance<'a> {
    /// The field for an element, by its path below the instance.
    fn field(&mut self, path: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match path {
            "/instanceId" => &mut self.id,
            "/instanceLifecycle" => &mut self.lifecycle,
            "/instanceState/name" => &mut self.state,
            "/stateReason/code" => &mut self.state_reason,
            "/reason" => &mut self.transition,
            "/instanceType" => &mut self.machine_type,
            "/launchTime" => &mut self.launch_time,
            "/placement/availabilityZone" => &mut self.zone,
            "/tagSet/item/key" => &mut self.key,
            "/tagSet/item/value" => &mut self.value,
            _ => return None,
        })
    }

    /// Describes the instance. Returns `None` if EC2 cannot take it back, or if it has no valid id.
    fn describe(self, account: &str, region: &str, tags: &TagKeys) -> Option<Described> {
        if !INTERRUPTIBLE.contains(&self.lifecycle.as_deref()?) {
            return None;
        }
        let name = self.id?;
        let id = instance_id::parse(&name)?;
        let own = |text: &str| Some(Cow::Owned(text.to_owned()));
        let state = self.state.as_deref().unwrap_or_default();
        let is_interrupted = !["pending", "running"].contains(&state)
            && self.state_reason.as_deref().is_some_and(|code| INTERRUPTED.contains(&code));
        Some(Described {
            instance: Instance {
                instance: InstanceRef {
                    id: Some(id),
                    project: own(account),
                    zone: self.zone.as_deref().and_then(own),
                    name: own(&name),
                },
                cluster: tags.cluster(&self.tags).and_then(own),
                location: own(region),
                node_pool: tags.node_pool(&self.tags).and_then(own),
                machine_type: self.machine_type.as_deref().and_then(own),
                spot: true,
                running: ["pending", "running"].contains(&state),
                created_at: self.launch_time.and_then(|time| time.parse().ok()),
            },
            interrupted: is_interrupted
                .then(|| Interrupted { at: self.transition.as_deref().and_then(time_in_brackets) }),
        })
    }
}

/// The time of a transition, such as in `Service initiated (2026-03-01 10:44:31 GMT)`.
fn time_in_brackets(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.rsplit_once('(')?;
    let (time, _) = rest.split_once(')')?;
    let time = time.trim().strip_suffix("GMT").or(time.trim().strip_suffix("UTC"))?;
    let (date, time) = time.trim().split_once(' ')?;
    format!("{date}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(instances: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>
  <reservationSet><item><reservationId>r-1</reservationId><ownerId>123456789012</ownerId><groupSet/>
    <instancesSet>{instances}</instancesSet></item></reservationSet></DescribeInstancesResponse>"#
        )
    }

    fn parse(response: &str) -> Result<InstancePage, String> {
        InstancePage::parse(response.as_bytes(), "123456789012", "eu-central-1", &TagKeys::default())
    }

    const NODE: &str = "<item><instanceId>i-0b662ef9931388ba0</instanceId>
        <instanceState><code>48</code><name>terminated</name></instanceState>
        <reason>Service initiated (2026-03-01 10:44:31 GMT)</reason>
        <stateReason><code>Server.SpotInstanceTermination</code><message>Server.SpotInstanceTermination: x</message></stateReason>
        <instanceType>m6i.xlarge</instanceType><launchTime>2026-03-01T09:00:05.000Z</launchTime>
        <placement><availabilityZone>eu-central-1b</availabilityZone><tenancy>default</tenancy></placement>
        <networkInterfaceSet><item><instanceId>i-11111111</instanceId><placement><availabilityZone>no</availabilityZone></placement></item></networkInterfaceSet>
        <instanceLifecycle>spot</instanceLifecycle>
        <tagSet><item><key>eks:cluster-name</key><value>prod &amp; <![CDATA[<test>]]></value></item>
        <item><value>pool</value><key>karpenter.sh/nodepool</key></item><item><key>Name</key><value/></item></tagSet></item>";

    #[test]
    fn reads_a_node_that_was_interrupted() {
        let page = parse(&page(NODE)).unwrap();
        let [Described { instance, interrupted }] = &page.instances[..] else { panic!("{page:?}") };
        let text = |text: &'static str| Some(Cow::Borrowed(text));
        assert_eq!(
            *instance,
            Instance {
                instance: InstanceRef {
                    id: instance_id::parse("i-0b662ef9931388ba0"),
                    project: text("123456789012"),
                    zone: text("eu-central-1b"),
                    name: text("i-0b662ef9931388ba0"),
                },
                cluster: text("prod & <test>"),
                location: text("eu-central-1"),
                node_pool: text("pool"),
                machine_type: text("m6i.xlarge"),
                spot: true,
                running: false,
                created_at: "2026-03-01T09:00:05Z".parse().ok(),
            }
        );
        assert_eq!(*interrupted, Some(Interrupted { at: "2026-03-01T10:44:31Z".parse().ok() }));
        assert_eq!(page.next, None);
    }

    #[test]
    fn an_end_by_the_user_is_not_an_interruption() {
        for (from, to, is_spot, interrupted) in [
            ("Server.SpotInstanceTermination<", "Server.SpotInstanceShutdown<", true, true),
            ("Server.SpotInstanceTermination<", "Client.UserInitiatedShutdown<", true, false),
            ("Server.SpotInstanceTermination<", "Server.InsufficientInstanceCapacity<", true, false),
            ("<name>terminated", "<name>shutting-down", true, true),
            ("<name>terminated", "<name>running", true, false),
            ("<instanceLifecycle>spot", "<instanceLifecycle>scheduled", false, false),
            ("<instanceLifecycle>spot</instanceLifecycle>", "", false, false),
        ] {
            let page = parse(&page(&NODE.replace(from, to))).unwrap();
            assert_eq!(page.instances.len(), usize::from(is_spot), "{to}");
            assert_eq!(page.instances.iter().any(|of| of.interrupted.is_some()), interrupted, "{to}");
        }
    }

    #[test]
    fn reads_the_time_of_a_transition() {
        let at = "2026-03-01T10:44:31Z".parse().ok();
        for (text, time) in [
            ("Service initiated (2026-03-01 10:44:31 GMT)", at),
            ("Server.SpotInstanceTermination: Spot Instance termination (2026-03-01 10:44:31 UTC)", at),
            ("Service initiated", None),
            ("Service initiated (soon)", None),
            ("Service initiated (2026-03-01 10:44:31 CET)", None),
            ("", None),
        ] {
            assert_eq!(time_in_brackets(text), time, "{text}");
        }
    }

    #[test]
    fn a_damaged_instance_does_not_affect_others() {
        for damaged in [
            "<item/>",
            "<item><instanceId>x</instanceId><instanceLifecycle>spot</instanceLifecycle></item>",
            "<item><instanceLifecycle>spot</instanceLifecycle></item>",
            "<item><instanceId>i-0b662ef9931388ba1</instanceId><instanceLifecycle>spot</instanceLifecycle><launchTime>x</launchTime><tagSet><item/></tagSet></item>",
            "<item><unknown><deep><deeper/></deep></unknown></item>",
        ] {
            let page = parse(&page(&format!("{damaged}{NODE}")))
                .unwrap_or_else(|error| panic!("{damaged}: {error}"));
            assert!(page.instances.last().is_some_and(|last| last.interrupted.is_some()), "{damaged}");
        }
    }

    #[test]
    fn reads_an_empty_page_and_the_next_token() {
        let page = parse(
            "<DescribeInstancesResponse><nextToken>a&#61;b</nextToken><reservationSet/></DescribeInstancesResponse>",
        );
        let page = page.unwrap();
        assert!(page.instances.is_empty());
        assert_eq!(page.next.as_deref(), Some("a=b"));
        let page =
            parse("<DescribeInstancesResponse><reservationSet/><nextToken/></DescribeInstancesResponse>")
                .unwrap();
        assert_eq!(page.next, None);
    }

    #[test]
    fn rejects_a_response_that_is_not_a_page() {
        let truncated = page(NODE);
        let deep = format!(
            "<DescribeInstancesResponse><reservationSet/>{}{}</DescribeInstancesResponse>",
            "<a>".repeat(100),
            "</a>".repeat(100)
        );
        for response in [
            "",
            "{}",
            "<html></html>",
            "<DescribeInstancesResponse/>",
            "<DescribeInstancesResponse><requestId>r</requestId></DescribeInstancesResponse>",
            "<Response><Errors><Error><Code>x</Code></Error></Errors></Response>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>",
            "<DescribeInstancesResponse><reservationSet></DescribeInstancesResponse>",
            "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse><more/>",
            "<DescribeInstancesResponse><reservationSet/><nextToken>&no;</nextToken></DescribeInstancesResponse>",
            &truncated[..truncated.len() - 10],
            &truncated[..truncated.len() / 2],
            &deep,
        ] {
            let error = parse(response).expect_err(response);
            assert!(error.starts_with("the response is not a list of instances: "), "{error}");
        }
        assert!(InstancePage::parse(b"\xff", "a", "r", &TagKeys::default()).is_err());
    }
}
