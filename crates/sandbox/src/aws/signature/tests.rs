//! Published test vectors.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TIME: &str = "20150830T123600Z";

struct Vector {
    method: Method,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
    region: &'static str,
    service: &'static str,
    token: Option<&'static str>,
    signature: &'static str,
}

impl Vector {
    fn headers(&self) -> HeaderMap {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn authorization(&self) -> Authorization {
        let mut names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let Self { region, service, signature, .. } = self;
        let names = names.join(";");
        Authorization::parse(&format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{region}/{service}/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        ))
        .unwrap()
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            key_id: "AKIDEXAMPLE".to_owned(),
            secret: SECRET.to_owned(),
            token: self.token.map(str::to_owned),
            expires: None,
            account: "1".to_owned(),
            arn: String::new(),
        }
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &str,
        credentials: &Credentials,
        now: &str,
    ) -> Result<(), Rejection> {
        let uri = Uri::from_static("/");
        let request = SignedRequest { method: &self.method, uri: &uri, headers, body: body.as_bytes() };
        verify(&request, &self.authorization(), credentials, self.service, parse_basic(now).unwrap())
    }
}

fn vectors() -> [Vector; 3] {
    [
        Vector {
            method: Method::GET,
            headers: vec![("host", "example.amazonaws.com"), ("x-amz-date", TIME)],
            body: "",
            region: "us-east-1",
            service: "service",
            token: None,
            signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        },
        Vector {
            method: Method::POST,
            headers: vec![
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                ("host", "ec2.eu-central-1.amazonaws.com"),
                ("x-amz-date", TIME),
            ],
            body: "Action=DescribeInstances&Version=2016-11-15&MaxResults=1000&Filter.1.Name=instance-lifecycle\
                   &Filter.1.Value.1=spot",
            region: "eu-central-1",
            service: "ec2",
            token: None,
            signature: "e930d5168991bb288b2397c0f9d655254784b0cb8b3c83b2fcdd4314a609176b",
        },
        Vector {
            method: Method::POST,
            headers: vec![
                ("content-type", "application/x-amz-json-1.0"),
                ("host", "sqs.eu-central-1.amazonaws.com"),
                ("x-amz-date", TIME),
                ("x-amz-security-token", "TOKEN"),
                ("x-amz-target", "AmazonSQS.ReceiveMessage"),
            ],
            body: r#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue","MaxNumberOfMessages":10,"WaitTimeSeconds":20}"#,
            region: "eu-central-1",
            service: "sqs",
            token: Some("TOKEN"),
            signature: "803a4e4bdbef148387f2498b6a2eb050e4d042ea73277bf481419b350dd1eb69",
        },
    ]
}

#[test]
fn accepts_published_signatures() {
    for vector in vectors() {
        let result = vector.verify(&vector.headers(), vector.body, &vector.credentials(), TIME);
        assert_eq!(result, Ok(()), "{}", vector.service);
    }
}

#[test]
fn rejects_changed_requests() {
    for vector in vectors() {
        let credentials = vector.credentials();
        let is_mismatch = |result: Result<(), Rejection>| matches!(result, Err(Rejection::Mismatch { .. }));
        assert!(is_mismatch(vector.verify(&vector.headers(), "changed", &credentials, TIME)));
        let other = Credentials { secret: "other".to_owned(), ..credentials.clone() };
        assert!(is_mismatch(vector.verify(&vector.headers(), vector.body, &other, TIME)));
        let mut headers = vector.headers();
        headers.insert("host", "other".parse().unwrap());
        assert!(is_mismatch(vector.verify(&headers, vector.body, &credentials, TIME)));
        let mut headers = vector.headers();
        headers.insert("x-amz-extra", "unsigned".parse().unwrap());
        let result = vector.verify(&headers, vector.body, &credentials, TIME);
        assert!(matches!(result, Err(Rejection::Incomplete(_))), "{result:?}");
        let result = vector.verify(&HeaderMap::new(), vector.body, &credentials, TIME);
        assert!(matches!(result, Err(Rejection::Incomplete(_))), "{result:?}");
    }
}

#[test]
fn rejects_wrong_times_and_tokens() {
    for vector in vectors() {
        let credentials = vector.credentials();
        let verify = |credentials: &Credentials, now: &str| {
            vector.verify(&vector.headers(), vector.body, credentials, now)
        };
        assert_eq!(verify(&credentials, "20150830T124100Z"), Ok(()));
        assert_eq!(verify(&credentials, "20150830T123100Z"), Ok(()));
        let old = verify(&credentials, "20150830T124101Z").unwrap_err();
        assert_eq!(
            old.time_message().unwrap(),
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
        );
        let new = verify(&credentials, "20150830T123059Z").unwrap_err();
        assert!(matches!(new, Rejection::TooNew { .. }), "{new:?}");
        let other = Credentials { token: Some("other".to_owned()), ..credentials.clone() };
        assert_eq!(verify(&other, TIME), Err(Rejection::WrongToken));
        let expired = Credentials { expires: parse_basic(TIME), ..credentials };
        assert_eq!(verify(&expired, TIME), Err(Rejection::Expired));
    }
}
