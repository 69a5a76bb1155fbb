//! A simple HTTP client.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::TIMEOUT;

/// A complete HTTP response.
#[derive(Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl HttpResponse {
    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Returns the value of a header, or an empty text if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the value of a series. The labels can be in any order.
    pub fn sample(&self, series: &str) -> Option<f64> {
        let (name, labels) = parts(series);
        let text = self.text();
        let mut samples = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let sample = samples.find_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (parts(series).1 == labels).then_some(value)
        });
        sample.map(|value| value.parse().unwrap())
    }

    /// Returns the sum of a family's samples.
    pub fn sum(&self, family: &str) -> f64 {
        let is_sample =
            |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']));
        self.text()
            .lines()
            .filter(is_sample)
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Whether a family exists.
    pub fn has_family(&self, name: &str) -> bool {
        self.text().contains(&format!("# TYPE {name} "))
    }
}

/// Splits a series into its name and its sorted label pairs.
fn parts(series: &str) -> (&str, Vec<&str>) {
    let Some((name, labels)) = series.split_once('{') else { return (series, Vec::new()) };
    let labels = labels.strip_suffix('}').unwrap();
    let (mut in_value, mut is_escaped) = (false, false);
    let mut pairs: Vec<&str> = labels
        .split(|character| {
            let separates = character == ',' && !in_value;
            in_value ^= character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            separates
        })
        .collect();
    pairs.sort_unstable();
    (name, pairs)
}

/// Gets a URL.
pub async fn get(url: &str, headers: &[(&str, &str)]) -> HttpResponse {
    request("GET", url, headers).await
}

/// Sends a request without a body.
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> HttpResponse {
    send(method, url, headers, Bytes::new()).await
}

/// Sends a request with a body.
pub async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> HttpResponse {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = async {
        let (head, body) = client.request(request.body(Full::new(body)).unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        HttpResponse { status: head.status.as_u16(), headers: head.headers, body }
    };
    timeout(TIMEOUT, response).await.unwrap_or_else(|_| panic!("no response from {url}"))
}
