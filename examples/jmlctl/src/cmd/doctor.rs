//! `doctor`: whether every target answers, lets us in, and allows what we would do.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::executor::block_on;
use jml_connectors::scim::Capabilities;
use jml_core::provider::{Cx, Descriptor, Health, Provider, SupportMode, Verb};
use jml_engine::SystemClock;
use serde_json::json;

use super::open;
use crate::cli::Cli;
use crate::exit::{ERROR, Failure, OK};
use crate::out::{BOLD, Out, styled};

/// Tokens and assertions fail when clocks are further apart than this.
const SKEW: TimeDelta = TimeDelta::seconds(60);

pub(crate) fn doctor(cli: &Cli, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, false)?;
    let cx = Cx::new(Arc::new(SystemClock));
    let (mut well, mut all) = (true, Vec::new());
    for (id, provider) in &project.engine.ports().providers {
        let descriptor = provider.descriptor();
        let mut trouble = trouble_of(&cx, provider.as_ref());
        if let Some((client, told)) = project.scim.get(id) {
            trouble.extend(differs(&cx, client, told));
        }
        well &= trouble.is_empty();
        if cli.json {
            all.push(json!({ "target": id, "product": descriptor.product, "trouble": trouble,
                             "verbs": descriptor.verbs, "reading": descriptor.read_permissions }));
            continue;
        }
        out.line(styled(BOLD, format!("{id}: {}", descriptor.product)));
        describe(descriptor, out);
        match trouble.as_slice() {
            [] => out.line("  well"),
            some => some.iter().for_each(|it| out.line(format!("  TROUBLE: {it}"))),
        }
    }
    if cli.json {
        out.json(&json!({ "version": 1, "well": well, "targets": all }));
    }
    Ok(if well { OK } else { ERROR })
}

/// What is wrong with a target.
fn trouble_of(cx: &Cx, provider: &dyn Provider) -> Vec<String> {
    let health: Health = match block_on(provider.health(cx)) {
        Ok(health) => health,
        Err(error) => return vec![error.to_string()],
    };
    let mut trouble: Vec<String> = Vec::new();
    let missing = &health.missing_permissions;
    trouble.extend(missing.iter().map(|it| format!("the credential lacks the permission {it}")));
    if let Some(theirs) = health.server_time {
        let skew = (cx.now() - theirs).abs();
        if skew > SKEW {
            let seconds = skew.num_seconds();
            trouble.push(format!("the clocks are {seconds} s apart; tokens will be refused"));
        }
    }
    trouble
}

/// Where a SCIM server says something else of itself than the configuration.
fn differs(cx: &Cx, client: &jml_connectors::kit::Client, told: &Capabilities) -> Vec<String> {
    let Ok(says) = block_on(Capabilities::discover(cx, client)) else { return Vec::new() };
    let line = |name: &str, here: &dyn std::fmt::Display, there: &dyn std::fmt::Display| {
        format!("the server says {name} = {there}, the configuration {here}")
    };
    let mut found = Vec::new();
    if says.patch != told.patch {
        found.push(line("patch", &told.patch, &says.patch));
    }
    if told.etag && !says.etag {
        found.push(line("etag", &told.etag, &says.etag));
    }
    if told.cursor && !says.cursor {
        found.push(line("cursor", &told.cursor, &says.cursor));
    }
    if told.page > says.page {
        found.push(line("page", &told.page, &says.page));
    }
    if told.bulk > says.bulk {
        found.push(line("bulk", &told.bulk, &says.bulk));
    }
    found
}

/// What each verb needs, and what is left to people.
fn describe(descriptor: &Descriptor, out: &Out) {
    if !descriptor.read_permissions.is_empty() {
        out.line(format!("  to look: {}", descriptor.read_permissions.join(", ")));
    }
    for (verb, support) in &descriptor.verbs {
        if support.mode != SupportMode::Manual {
            out.line(format!("  {verb}: {}", support.permissions.join(", ")));
        }
    }
    let by_hand = Verb::ALL.into_iter().filter(|verb| !descriptor.supports(*verb));
    let by_hand: Vec<&str> = by_hand.map(Verb::as_str).collect();
    if !by_hand.is_empty() {
        out.line(format!("  by people: {}", by_hand.join(", ")));
    }
}
