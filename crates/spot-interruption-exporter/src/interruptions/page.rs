//! The page: JSON for programs, an HTML table for browsers.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use exporter_common::http::html::{escape, page};
use exporter_common::http::{Route, prefers_html};
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde::Serialize;

use super::query::{Query, Sort};
use super::{CAPACITY, PATH, Row};
use crate::event::Reasons;
use crate::state::SharedState;

/// The route of the page.
pub(crate) fn route<T: fmt::Debug + Send + 'static>(state: SharedState<T>, reasons: Reasons) -> Route {
    Route::read(PATH, "Interruptions", move |request: Request<()>| {
        let rows = {
            let state = state.lock();
            state.recent.rows(state.attribution.inventory(), &reasons)
        };
        let response = respond(rows, request.uri().query().unwrap_or_default(), request.headers());
        Box::pin(async { response })
    })
}

fn respond(mut rows: Vec<Row>, query: &str, headers: &HeaderMap) -> Response<Bytes> {
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(problem) => return typed(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", problem + "\n"),
    };
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut response = if prefers_html(&accept.join(",")) {
        table(rows, &query)
    } else {
        query.apply(&mut rows);
        json(&rows)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn typed(status: StatusCode, content_type: &'static str, text: String) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[derive(Serialize)]
struct Document<'a> {
    interruptions: &'a [Row],
}

fn json(rows: &[Row]) -> Response<Bytes> {
    match serde_json::to_string(&Document { interruptions: rows }) {
        Ok(text) => typed(StatusCode::OK, "application/json", text + "\n"),
        Err(error) => {
            typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error}\n"))
        }
    }
}

fn table(mut rows: Vec<Row>, query: &Query) -> Response<Bytes> {
    let clusters: BTreeSet<String> = rows.iter().filter_map(|row| row.cluster.clone()).collect();
    let all = rows.len();
    query.apply(&mut rows);
    let body = format!(
        "<p>{} of {all} interruptions. The last {CAPACITY} since the exporter's start are kept; the metrics count all of them. \
         <a href=\"./\">Overview</a></p>\n{}{}{}</table>\n",
        rows.len(),
        form(&clusters, query),
        head(query),
        rows.iter().map(|row| line(row, query.sort)).collect::<String>(),
    );
    page("Interruptions", &body)
}

/// Form to select a cluster. It keeps the sort order.
fn form(clusters: &BTreeSet<String>, query: &Query) -> String {
    let mut options = "<option value=\"\">all</option>".to_owned();
    // A selected cluster stays in the list even if it has no rows.
    let chosen = query.cluster.iter().filter(|cluster| !clusters.contains(*cluster));
    for cluster in clusters.iter().chain(chosen) {
        let selected = if query.cluster.as_ref() == Some(cluster) { " selected" } else { "" };
        let cluster = escape(cluster);
        options.push_str(&format!("<option value=\"{cluster}\"{selected}>{cluster}</option>"));
    }
    format!(
        "<form method=\"get\"><label>Cluster <select name=\"cluster\">{options}</select></label>\
         <input type=\"hidden\" name=\"sort\" value=\"{}\"> <button>Show</button></form>\n",
        query.sort.name()
    )
}

/// The columns, and the sort order of each sortable column.
const COLUMNS: [(&str, Option<Sort>); 13] = [
    ("Time", Some(Sort::Time)),
    ("Instance", None),
    ("Id", None),
    ("Project", None),
    ("Zone", Some(Sort::Zone)),
    ("Cluster", Some(Sort::Cluster)),
    ("Node pool", None),
    ("Machine type", Some(Sort::MachineType)),
    ("Reason", None),
    ("Lifetime (s)", None),
    ("Delay (s)", None),
    ("Reported by", None),
    ("Unattributed", None),
];

fn head(query: &Query) -> String {
    let cells = COLUMNS.map(|(name, sort)| match sort {
        Some(sort) if sort == query.sort => format!("<th>{name} (sorted)</th>"),
        Some(sort) => {
            let link = escape(&Query::link(query.cluster.as_deref(), sort));
            format!("<th><a href=\"{link}\">{name}</a></th>")
        }
        None => format!("<th>{name}</th>"),
    });
    format!("<table>\n<tr>{}</tr>\n", cells.concat())
}

fn line(row: &Row, sort: Sort) -> String {
    let text = |text: &Option<String>| escape(text.as_deref().unwrap_or_default());
    let number = |number: Option<f64>, decimals: usize| {
        number.map(|number| format!("{number:.decimals$}")).unwrap_or_default()
    };
    let cluster = row.cluster.as_ref().map(|cluster| {
        format!("<a href=\"{}\">{}</a>", escape(&Query::link(Some(cluster), sort)), escape(cluster))
    });
    let cells = [
        row.time.map(|time| format!("{time:.3}")).unwrap_or_default(),
        text(&row.instance),
        text(&row.id),
        text(&row.project),
        text(&row.zone),
        cluster.unwrap_or_default(),
        text(&row.node_pool),
        text(&row.machine_type),
        escape(&row.reason),
        number(row.lifetime_seconds, 0),
        number(row.delay_seconds, 3),
        row.reported_by.to_owned(),
        row.unattributed.unwrap_or_default().to_owned(),
    ];
    let class = if row.unattributed.is_some() { " class=\"warn\"" } else { "" };
    format!("<tr{class}><td>{}</td></tr>\n", cells.join("</td><td>"))
}

#[cfg(test)]
mod tests {
    use super::super::tests_rows::row;
    use super::*;

    fn request_page(rows: &[Row], query: &str, accept: &'static str) -> (StatusCode, String, String) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let response = respond(rows.to_vec(), query, &headers);
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        (response.status(), content_type, String::from_utf8(response.into_body().to_vec()).unwrap())
    }

    #[test]
    fn escapes_hostile_names() {
        let hostile = "\"><script>alert(1)</script>&'";
        let rows = [row("1", Some(hostile), hostile, Some(hostile)), row("2", Some("good"), "z", Some("n2"))];
        let query = Query::link(Some(hostile), Sort::Zone);
        for query in ["", &query[1..]] {
            let (status, content_type, text) = request_page(&rows, query, "text/html");
            assert_eq!((status, &*content_type), (StatusCode::OK, "text/html; charset=utf-8"));
            assert!(!text.contains("<script"), "{text}");
            assert!(text.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#39;</a>"), "{text}");
            assert!(text.contains("cluster=%22%3E%3Cscript%3Ealert%281%29"), "{text}");
        }
    }

    #[test]
    fn serves_json_in_the_requested_order() {
        let rows = [row("1", Some("b"), "z-1", Some("n2")), row("2", Some("a"), "z-2", None)];
        for accept in ["*/*", "application/json"] {
            let (status, content_type, text) = request_page(&rows, "sort=cluster", accept);
            assert_eq!((status, &*content_type), (StatusCode::OK, "application/json"));
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            let shown = document["interruptions"].as_array().unwrap();
            assert_eq!((&shown[0]["id"], &shown[1]["id"]), (&"2".into(), &"1".into()));
            assert!(shown[0]["machine_type"].is_null() && shown[0]["unattributed"].is_null());
        }
    }

    #[test]
    fn rejects_an_unknown_order() {
        let (status, _, text) = request_page(&[], "sort=<b>", "text/html");
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains("allowed are time, cluster") && !text.contains("<b>"), "{text}");
    }
}
