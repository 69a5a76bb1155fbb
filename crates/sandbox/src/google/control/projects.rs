//! Projects in the control endpoint.

use std::collections::BTreeMap;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::responses::bad_request;
use crate::{
    google::{
        assets::{ProjectAsset, ProjectState},
        names::FOLDER,
        simulation::Simulation,
    },
    http::{self, method_not_allowed, no_content, text},
    server::Body,
};

/// Returns all projects by id.
pub(super) async fn projects(simulation: &Simulation) -> Response<Body> {
    let truths = simulation.truths().await;
    let projects: BTreeMap<String, Value> = simulation
        .compute
        .projects()
        .iter()
        .map(|project| {
            let mut view = json!({
                "number": project.number(),
                "access": project.access().name(),
                "instances": truths.get(project.id()).map_or(0, |truth| truth.instances),
                "discovered": false,
            });
            if let Some(asset) = simulation.assets.project(project.id()) {
                view["discovered"] = true.into();
                view["state"] = asset.state.name().into();
                view["labels"] = json!(asset.labels);
                view["folders"] = json!(asset.folders);
                view["organization"] = asset.organization.into();
            }
            (project.id().to_owned(), view)
        })
        .collect();
    http::json(json!(projects).to_string())
}

/// Handles a request to `path` below `projects/`.
pub(super) async fn respond(simulation: &Simulation, method: &str, path: &str, body: &str) -> Response<Body> {
    let (id, what) = path.split_once('/').unwrap_or((path, ""));
    if id.is_empty() {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    match (what, method) {
        ("", "PUT") => {
            let number = match body {
                "" => None,
                number => match number.parse() {
                    Ok(number) => Some(number),
                    Err(_) => return bad_request("expected a project number or an empty body"),
                },
            };
            simulation.add_project(id, number).await;
            return no_content();
        }
        ("", "DELETE") if simulation.delete_project(id).await => return no_content(),
        ("", "DELETE") => return text(StatusCode::NOT_FOUND, "unknown project\n"),
        ("", _) => return method_not_allowed("PUT, DELETE"),
        ("access" | "discovery", "PUT") | ("discovery", "DELETE") => {}
        ("access", _) => return method_not_allowed("PUT"),
        ("discovery", _) => return method_not_allowed("PUT, DELETE"),
        _ => return text(StatusCode::NOT_FOUND, "not found\n"),
    }
    let Some(project) = simulation.compute.project(id) else {
        return text(StatusCode::NOT_FOUND, "unknown project\n");
    };
    match what {
        "access" => match body.parse() {
            Ok(access) => project.set_access(access),
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        _ if method == "DELETE" => drop(simulation.assets.remove(project.id())),
        _ => {
            let known = simulation.assets.project(project.id());
            let known =
                known.unwrap_or_else(|| ProjectAsset::new(project.id(), project.number()).folder(FOLDER));
            match changed(known, body) {
                Some(asset) => simulation.assets.add(asset),
                None => return bad_request("expected words such as state=ACTIVE, env=prod or folders/7"),
            }
        }
    }
    no_content()
}

/// Applies the words of a request body to a project: its simulation, labels, folder and organization.
fn changed(mut asset: ProjectAsset, body: &str) -> Option<ProjectAsset> {
    for word in body.split_whitespace() {
        match word.split_once('=') {
            Some(("state", name)) => asset.state = ProjectState::by_name(name)?,
            Some((key, value)) if !key.is_empty() => {
                asset.labels.insert(key.to_owned(), value.to_owned());
            }
            Some(_) => return None,
            None if word.starts_with("folders/") => asset.folders = vec![word.to_owned()],
            None if word.starts_with("organizations/") => asset.organization = word.to_owned(),
            None => return None,
        }
    }
    Some(asset)
}
