//! v1 besides users: devices and their commands, applications, organisations.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    App, JumpCloud, Request, Response, System, invalid, is_object_id, json, nothing, respond,
};

impl System {
    fn shown(&self, id: &str) -> Value {
        let commands: &[&str] =
            if self.os == "darwin" { &[] } else { &["erase", "lock", "restart"] };
        let commands: Vec<Value> =
            commands.iter().map(|it| value!({ "name": it, "type": "security" })).collect();
        value!({ "_id": id, "displayName": self.name, "hostname": self.name, "osFamily": self.os,
                 "active": true, "builtInCommands": commands })
    }
}

impl App {
    fn shown(&self, id: &str) -> Value {
        value!({ "_id": id, "name": "custom", "displayLabel": self.label, "active": true,
                 "ssoUrl": "https://sso.jumpcloud.test/saml2/custom", "config": {} })
    }
}

impl JumpCloud {
    pub(super) fn route_systems(
        &mut self,
        request: &Request,
        rest: &[&str],
        now: DateTime<Utc>,
    ) -> Response {
        match (request.method(), rest) {
            (&Method::GET, ["systems"]) => {
                let rows = self.systems.iter().map(|(id, it)| (id.clone(), it.shown(id))).collect();
                self.page(request, rows)
            }
            (&Method::GET, ["applications"]) => {
                let rows = self.apps.iter().map(|(id, it)| (id.clone(), it.shown(id))).collect();
                self.page(request, rows)
            }
            (&Method::GET, ["organizations"]) => {
                let id = self.organization.clone();
                let row = value!({ "_id": id, "displayName": "Example" });
                self.page(request, vec![(id, row)])
            }
            (_, ["systems" | "applications", id, ..]) if !is_object_id(id) => {
                json(400, &value!({ "error": "Bad Request: the id is none" }))
            }
            (&Method::GET, ["systems", id]) => match self.systems.get(*id) {
                Some(system) => json(200, &system.shown(id)),
                None => nothing(),
            },
            (&Method::GET, ["applications", id]) => match self.apps.get(*id) {
                Some(app) => json(200, &app.shown(id)),
                None => nothing(),
            },
            (&Method::DELETE, ["systems", id]) => match self.systems.remove(*id) {
                Some(system) => {
                    self.happened("system_delete", "system", id, now);
                    json(200, &system.shown(id))
                }
                None => nothing(),
            },
            (&Method::POST, ["systems", id, "command", "builtin", what]) => {
                let Some(system) = self.systems.get_mut(*id) else { return nothing() };
                if !["erase", "lock", "restart", "shutdown"].contains(what) {
                    return nothing();
                }
                if system.os == "darwin" {
                    return invalid("a Mac takes its commands from MDM");
                }
                system.commands.push((*what).to_owned());
                respond(201, "", "")
            }
            _ => nothing(),
        }
    }
}
