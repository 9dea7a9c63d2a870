//! The report that people read: one HTML file that needs nothing else.

use std::collections::BTreeMap;

use chrono::DateTime;
use jml_core::canon::Node;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::oscal::About;
use super::view::{Line, RunView, number, text};
use super::workpaper::{outcome, result};
use crate::controls::{Covered, Framework, State};
use crate::sla::Limit;
use crate::timeliness::{Figures, Measured};
use crate::verify::{Level, TrustReport, Verdict, Window};

/// Everything that the report shows.
pub(super) struct Content<'a> {
    pub(super) about: &'a About<'a>,
    pub(super) runs: &'a [RunView],
    pub(super) measured: &'a [Measured],
    pub(super) limit: &'a dyn Fn(&str) -> Option<Limit>,
    pub(super) figures: &'a BTreeMap<(String, String, String), Figures>,
    pub(super) covered: &'a BTreeMap<Framework, Vec<Covered>>,
    pub(super) trust: &'a TrustReport,
    pub(super) population: &'a Node,
    pub(super) sampled: Option<&'a Node>,
    pub(super) disclosed: Vec<&'a str>,
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: i64) -> String {
    let (s, m, h, d) = (seconds % 60, seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
    let parts = [(d, "d"), (h, "h"), (m, "min"), (s, "s")];
    let shown: Vec<String> = parts
        .iter()
        .skip_while(|(n, _)| *n == 0)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") }
}

/// An instant as people read it.
fn moment(text: &str) -> String {
    DateTime::parse_from_rfc3339(text)
        .map_or_else(|_| text.to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn stamp(at: &str) -> Markup {
    html! { time datetime=(at) { (moment(at)) } }
}

pub(super) fn page(it: &Content<'_>) -> String {
    let title = it.about.title;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(include_str!("report.css"))) }
            }
            body {
                a.skip href="#runs" { "Skip to the runs" }
                header {
                    h1 { (title) }
                    p.lead {
                        (it.about.event) "s from " (stamp(it.about.from)) " to " (stamp(it.about.to))
                        ". Log " code { (it.about.origin) } ", " (it.about.size) " records."
                    }
                    nav aria-label="Parts of this report" { ul {
                        @for (id, name) in [("population", "Population"), ("timeliness", "Time to act"),
                            ("runs", "Runs"), ("controls", "Controls"), ("verification", "Verification")] {
                            li { a href={ "#" (id) } { (name) } }
                        }
                    } }
                }
                main {
                    (tiles(it))
                    (population(it))
                    (timeliness(it))
                    (runs(it))
                    (controls(it))
                    (verification(it))
                }
            }
        }
    };
    page.into_string()
}

fn tiles(it: &Content<'_>) -> Markup {
    let ends: Vec<&Measured> = it.measured.iter().filter(|m| m.of == "end").collect();
    let longest = ends.iter().filter_map(|m| m.exposure()).max();
    let limited: Vec<_> = ends.iter().filter(|m| (it.limit)(&m.event).is_some()).collect();
    let within =
        limited.iter().filter(|m| result(m, (it.limit)(&m.event).as_ref()) == "within").count();
    let residual = it.runs.iter().filter(|run| residual(run) > 0).count();
    html! {
        ul.tiles aria-label="In short" {
            li { strong { (number(it.population, &["people"])) } "people in the population" }
            li { strong { (it.runs.len()) } "runs in this pack" }
            @if !limited.is_empty() {
                li { strong { (within) " of " (limited.len()) } "systems within the limit" }
            }
            @if let Some(longest) = longest {
                li { strong { (duration(longest)) } "longest a way in stayed open" }
            }
            li { strong { (residual) } "runs that left something over" }
        }
    }
}

fn residual(run: &RunView) -> i64 {
    run.closing.as_ref().map_or(0, |closing| number(closing, &["residual"]))
}

fn population(it: &Content<'_>) -> Markup {
    let is = |name: &str| text(it.population, &[name]);
    let source = it.population.get("source");
    html! {
        section aria-labelledby="population" {
            h2 id="population" { "Population" }
            dl {
                dt { "Members" } dd { (number(it.population, &["members"])) " runs of " (number(it.population, &["people"])) " people, each listed in population.csv" }
                dt { "Root over them" } dd { code { (is("members_root")) } }
                @if let Some(source) = source {
                    dt { "Compared with" } dd { (text(source, &["system"])) ": " (text(source, &["query"])) }
                    dt { "Extract" } dd {
                        (number(source, &["rows"])) " rows of " (stamp(&text(source, &["extracted_at"])))
                        ", SHA-256 " code { (text(source, &["digest"])) }
                    }
                    dt { "In both" } dd { (number(it.population, &["matched"])) }
                    dt { "Only in the extract" } dd { (flag(number(it.population, &["source_only"]))) }
                    dt { "Only in the log" } dd { (flag(number(it.population, &["log_only"]))) }
                } @else {
                    dt { "Compared with" } dd { span.note { "nothing" } ": the log alone says who is in it" }
                }
                @if let Some(sampled) = it.sampled {
                    dt { "Sample" } dd {
                        "drawn by the seed " code { (text(sampled, &["seed"])) }
                        ", which was given after the population was sealed"
                    }
                } @else {
                    dt { "Sample" } dd { "none: every member is here" }
                }
                dt { "Disclosed" } dd {
                    @if it.disclosed.is_empty() { "nothing: people appear under pseudonyms" }
                    @else { (it.disclosed.join(", ")) }
                }
            }
        }
    }
}

/// A count that should be zero.
fn flag(count: i64) -> Markup {
    html! { @if count == 0 { span.good { "none" } } @else { span.bad { (count) } } }
}

fn timeliness(it: &Content<'_>) -> Markup {
    html! {
        section aria-labelledby="timeliness" {
            h2 id="timeliness" { "Time to act" }
            p { "From the instant at which access had to end or begin, or at which that became known here, "
                "whichever is later, to the last step being read back as done." }
            div.wide { table {
                caption { "By system, over all runs of this pack" }
                thead { tr {
                    @for (name, numeric) in [("Event", false), ("System", false), ("Access", false), ("Runs", true),
                        ("Within the limit", true), ("Half within", true), ("95 % within", true), ("Longest", true),
                        ("Open", true), ("Entered late", true)] {
                        th.n[numeric] scope="col" { (name) }
                    }
                } }
                tbody { @for ((event, of, target), f) in it.figures { tr {
                    td { (event) }
                    th scope="row" { (target) }
                    td { @if of == "end" { "ends" } @else { "begins" } }
                    td.n { (f.count) }
                    td.n { @match f.within {
                        Some(n) if n == f.count => span.good { (n) },
                        Some(n) => span.bad { (n) },
                        None => "no limit",
                    } }
                    @for value in [f.p50, f.p95, f.max] {
                        td.n { @if let Some(s) = value { (duration(s)) } @else { "\u{2013}" } }
                    }
                    td.n { (f.open) }
                    td.n { (f.entered_late) }
                } } }
            } }
            (weekdays(it))
        }
    }
}

/// A batch that does not run at weekends shows here.
fn weekdays(it: &Content<'_>) -> Markup {
    let mut days = [(0_u64, 0_u64); 7];
    for ((_, of, _), figures) in it.figures {
        if of == "end" {
            for (sum, day) in days.iter_mut().zip(figures.by_weekday) {
                sum.0 += day.0;
                sum.1 += day.1;
            }
        }
    }
    let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    html! {
        @if days.iter().any(|day| day.1 > 0) {
            table {
                caption { "Ends of access that went over the limit, by the day on which the clock began" }
                thead { tr { @for name in names { th.n scope="col" { (name) } } } }
                tbody { tr { @for (all, over) in days { td.n { (over) " of " (all) } } } }
            }
        }
    }
}

fn runs(it: &Content<'_>) -> Markup {
    html! {
        section aria-labelledby="runs" {
            h2 id="runs" { "Runs" }
            @if it.runs.is_empty() { p { "The population has no member." } }
            @for (place, run) in it.runs.iter().enumerate() { (one_run(it, run, place == 0)) }
        }
    }
}

fn one_run(it: &Content<'_>, run: &RunView, open: bool) -> Markup {
    let mine: Vec<&Measured> = it.measured.iter().filter(|m| m.run == run.id).collect();
    let limit = (it.limit)(&run.event);
    let over = mine.iter().any(|m| matches!(result(m, limit.as_ref()), "over" | "open"));
    let who = run.identity.clone().unwrap_or_else(|| run.subject.clone());
    let verdict = match (over, residual(run)) {
        (true, _) => html! { span.end.bad { "over the limit or open" } },
        (_, 1..) => html! { span.end.note { "something is left over" } },
        _ => html! { span.end.good { (outcome(run)) } },
    };
    html! {
        details open[open] {
            summary {
                strong { (who) }
                span { (run.event) }
                span.soft { (moment(run.timing.get("effective").unwrap_or(&run.opened))) }
                (verdict)
            }
            div.inside {
                (facts(run))
                (bars(run, &mine, limit.as_ref()))
                h3 { "What happened" }
                ol.time { @for line in &run.lines { (one_line(run, line)) } }
                p.soft {
                    "Run " code { (run.id) } ", entries " (run.first) " and after, proofs/" (run.first)
                    ".tlog-proof. " (window(it, run))
                }
            }
        }
    }
}

fn window(it: &Content<'_>, run: &RunView) -> String {
    let last = run.entries.last().and_then(|entry| it.trust.windows.get(entry));
    match last {
        Some(Window::Seconds(s)) => {
            format!("Somebody outside had seen all of it after {}.", duration(*s))
        }
        _ => "Nobody outside that is trusted here has seen it: until then its owner could rewrite it."
            .to_owned(),
    }
}

fn facts(run: &RunView) -> Markup {
    html! {
        dl {
            @if let Some(cause) = &run.cause { dt { "Because" } dd { (cause) } }
            @for (name, label) in [("effective", "Effective"), ("entered", "Entered at the source"),
                ("received", "Known here"), ("planned", "Planned")] {
                @if let Some(at) = run.timing.get(name) { dt { (label) } dd { (stamp(at)) } }
            }
            dt { "Policy" } dd { "version " (run.policy) ", plan " code { (run.plan) } }
            @if !run.controls.is_empty() {
                dt { "Evidence for" } dd { (run.controls.len()) " controls, such as " (run.controls.iter().take(4).cloned().collect::<Vec<_>>().join(", ")) }
            }
        }
    }
}

/// How long each system took, drawn to one scale with the limit.
fn bars(run: &RunView, mine: &[&Measured], limit: Option<&Limit>) -> Markup {
    let times: Vec<(&Measured, i64)> = mine.iter().filter_map(|m| Some((*m, m.work()?))).collect();
    let limit = limit.filter(|_| times.iter().any(|(m, _)| m.of == "end"));
    let Some(longest) = times.iter().map(|(_, s)| *s).chain(limit.map(|l| l.seconds)).max() else {
        return html! {};
    };
    let scale = |s: i64| 150 + s * 380 / longest.max(1);
    let height = 24 * i64::try_from(times.len()).unwrap_or(0) + 22;
    let said: Vec<String> = times
        .iter()
        .map(|(m, s)| format!("{} access {}s after {}", m.target, m.of, duration(*s)))
        .collect();
    html! {
        h3 { "Time to act" }
        svg viewBox={ "0 0 680 " (height) } width="680" height=(height) role="img"
            aria-label={ (said.join("; ")) } {
            @for (place, (m, s)) in times.iter().enumerate() {
                @let y = 24 * i64::try_from(place).unwrap_or(0) + 4;
                @let over = limit.is_some_and(|l| m.of == "end" && *s > l.seconds);
                text x="142" y=(y + 13) text-anchor="end" { (m.target) " " (m.of) }
                rect.bar[!over].over[over] x="150" y=(y) width=((scale(*s) - 150).max(2)) height="17" rx="3" {}
                text x=(scale(*s) + 8) y=(y + 13) { (duration(*s)) }
            }
            @if let Some(limit) = limit {
                line.limit x1=(scale(limit.seconds)) x2=(scale(limit.seconds)) y1="0" y2=(height - 20) {}
                text x=(scale(limit.seconds)) y=(height - 6) text-anchor="end" {
                    "limit " (duration(limit.seconds)) ", " (limit.source)
                }
            }
        }
        @if times.is_empty() { p.soft { "Run " (run.id) " measured nothing." } }
    }
}

/// What a kind of record says, in people's words.
fn words(kind: &str) -> &'static str {
    match kind {
        "run.opened" => "run opened",
        "source.event" => "the source said so",
        "state.observed" => "accounts were read",
        "plan.computed" => "plan made",
        "approval.requested" => "approval asked",
        "approval.decided" => "decision",
        "policy.decision" => "policy decided",
        "step.intended" => "about to",
        "step.result" => "answered",
        "verify.observed" => "read back",
        "drift.detected" => "found changed",
        "drift.repaired" => "put back",
        "exception.accepted" => "exception in force",
        "task.completed" => "task done",
        "notification.sent" => "told a person",
        "sla.measured" => "measured",
        "grant.activated" => "access for a time began",
        "grant.expired" => "access for a time ended",
        "run.closed" => "run closed",
        _ => "recorded",
    }
}

fn one_line(run: &RunView, line: &Line) -> Markup {
    let class = match (line.kind.as_str(), line.status.split(' ').next().unwrap_or("")) {
        ("approval.decided" | "approval.requested" | "task.completed", _) => "who",
        (_, "failed" | "unknown" | "stale" | "residual" | "mismatch" | "missed") => "no",
        ("verify.observed" | "run.closed", _) => "ok",
        _ => "",
    };
    let instant = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let after =
        instant(&line.time).zip(instant(&run.opened)).map(|(at, first)| (at - first).num_seconds());
    html! {
        li class=(class) {
            time datetime=(line.time) title=(moment(&line.time)) {
                @if let Some(after) = after { "+" (duration(after)) } @else { (line.time) }
            }
            (words(&line.kind))
            @if !line.what.is_empty() { " " b { (line.what) } }
            @if !line.target.is_empty() { " on " (line.target) }
            @if !line.status.is_empty() { ": " (line.status) }
            @if let Some(by) = &line.by { " by " b { (by) } }
            @if let Some(why) = &line.why { " \u{2014} \u{201c}" (why) "\u{201d}" }
            @if !line.changes.is_empty() {
                ul.diff { @for change in &line.changes { li {
                    (change.name) ": " del { (change.before) } " \u{2192} " ins { (change.after) }
                } } }
            }
            " " span.soft { "#" (line.entry) @if line.hidden > 0 { ", " (line.hidden) " closed" } }
        }
    }
}

fn controls(it: &Content<'_>) -> Markup {
    let count = |list: &[Covered], state| list.iter().filter(|c| c.state == state).count();
    html! {
        section aria-labelledby="controls" {
            h2 id="controls" { "Controls" }
            p { "How far the whole log, from the beginning of the period until this pack was made, holds the records that each control asks for. "
                "\u{201c}Shown\u{201d} means that every kind of record is there; whether the control works is the auditor's finding." }
            @for (framework, list) in it.covered {
                details {
                    summary {
                        strong { (framework.title()) }
                        span { (count(list, State::Proven)) " shown, " (count(list, State::Partly)) " in part, "
                            (count(list, State::NotHere)) " not by this system" }
                    }
                    div.inside { div.wide { table {
                        caption { (framework.title()) }
                        thead { tr { th scope="col" { "Control" } th scope="col" { "State" } th scope="col" { "Records" } th scope="col" { "Missing" } } }
                        tbody { @for c in list { tr {
                            th scope="row" { (c.id) br; span.soft { (c.title) } }
                            td { @match c.state {
                                State::Proven => span.good { "shown" },
                                State::Partly => span.note { "in part" },
                                State::NotHere => span.soft { "not here" },
                            } }
                            td { (c.records.iter().map(|(k, n)| format!("{n} {k}")).collect::<Vec<_>>().join(", ")) }
                            td { (c.missing.join(", ")) }
                        } } }
                    } } }
                }
            }
        }
    }
}

fn verification(it: &Content<'_>) -> Markup {
    html! {
        section aria-labelledby="verification" {
            h2 id="verification" { "Verification" }
            p { "As it was when the pack was made, by the program that made it. Believe it only after you "
                "verified the pack yourself: VERIFY.md gives three ways, two of them without our programs." }
            div.wide { table {
                caption { "Levels; none is implied by another" }
                thead { tr { th scope="col" { "Level" } th scope="col" { "What" } th scope="col" { "Verdict" } } }
                tbody { @for (level, verdict) in &it.trust.levels { tr {
                    th scope="row" { (format!("{level:?}")) }
                    td { (Level::title(*level)) }
                    td { @match verdict {
                        Verdict::Pass => span.good { "pass" },
                        Verdict::NotChecked(why) => { span.note { "not checked" } ": " (why) },
                        Verdict::Fail(list) => {
                            span.bad { "FAIL" }
                            ul { @for problem in list { li { (problem.to_string()) } } }
                        },
                    } }
                } } }
            } }
        }
    }
}
