//! One row: engagement, attributes, and what is wrong with it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use jml_core::attribute::{AttributeSchema, AttributeType, AttributeValue, Opinion};
use jml_core::id::{AttributeName, EngagementId, IdentityId, SourceId, ZoneId};
use jml_core::identity::{Ending, Engagement, EngagementKind, IdentityKind, Leave};
use jml_core::nearest::nearest;
use jml_core::source::{FeedRecord, RejectedRow};

use crate::text::shown;
use crate::{ENGAGEMENT_COLUMNS, MAX_FIELD, REQUIRED_COLUMNS};

/// Which column is what.
pub(crate) struct Columns {
    names: Vec<String>,
    place: BTreeMap<&'static str, usize>,
    attributes: Vec<(usize, AttributeName, AttributeType)>,
}

/// What is wrong with a cell: its column, the problem, the remedy.
type Problem = (String, String, String);

impl Columns {
    /// Reads the header. What is wrong, and what to do about it, when it will not do.
    pub(crate) fn new(
        header: &csv::StringRecord,
        schema: &AttributeSchema,
    ) -> Result<Self, (String, String)> {
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        if let [one] = names.as_slice()
            && let Some(separator) = [';', '\t'].into_iter().find(|c| one.contains(*c))
        {
            let what = format!("its columns are separated by `{}`", separator.escape_debug());
            return Err((what, "save the file with commas between columns".to_owned()));
        }
        let mut place = BTreeMap::new();
        let mut attributes = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|before| before == name) {
                let what = format!("column `{}` comes twice", shown(name));
                return Err((what, "name each column once".to_owned()));
            }
            if let Some(known) = ENGAGEMENT_COLUMNS.iter().find(|known| *known == name) {
                place.insert(*known, index);
                continue;
            }
            let declared = AttributeName::new(name).ok().and_then(|id| {
                let def = schema.get(&id)?;
                Some((index, id, def.ty))
            });
            match declared {
                Some(attribute) => attributes.push(attribute),
                None => {
                    let known = ENGAGEMENT_COLUMNS
                        .into_iter()
                        .chain(schema.iter().map(|(name, _)| name.as_str()));
                    let remedy = nearest(name, known).map_or_else(
                        || "declare it under `attributes` in the policy, or drop it".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let what = format!("column `{}` is no declared attribute", shown(name));
                    return Err((what, remedy));
                }
            }
        }
        if let Some(missing) = REQUIRED_COLUMNS.iter().find(|name| !place.contains_key(*name)) {
            let what = format!("column `{missing}` is missing; found: {}", names.join(", "));
            return Err((what, format!("add the column `{missing}`")));
        }
        Ok(Self { names, place, attributes })
    }

    /// Reads a row.
    pub(crate) fn record(
        &self,
        row: &csv::StringRecord,
        source: &SourceId,
        at: DateTime<Utc>,
    ) -> Result<FeedRecord, RejectedRow> {
        let line = row.position().map_or(0, csv::Position::line);
        self.read(row, source, at, line).map_err(|(column, what, remedy)| RejectedRow {
            line,
            column,
            anchor: self.cell(row, "employee_id").map(|text| shown(&text)),
            what,
            remedy,
        })
    }

    fn cell(&self, row: &csv::StringRecord, name: &str) -> Option<String> {
        let text = row.get(*self.place.get(name)?)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn read(
        &self,
        row: &csv::StringRecord,
        source: &SourceId,
        at: DateTime<Utc>,
        line: u64,
    ) -> Result<FeedRecord, Problem> {
        let problem =
            |column: &str, what: String, remedy: &str| (column.to_owned(), what, remedy.to_owned());
        if row.len() != self.names.len() {
            let what = format!("the row has {} fields, the header {}", row.len(), self.names.len());
            return Err(problem(
                "-",
                what,
                "quote fields that hold commas, or add what is missing",
            ));
        }
        for (name, cell) in self.names.iter().zip(row.iter()) {
            if cell.len() > MAX_FIELD {
                let what =
                    format!("the field has {} bytes, at most {MAX_FIELD} are read", cell.len());
                return Err(problem(name, what, "look for a quote that is not closed"));
            }
            if let Some(c) = cell.chars().find(|c| c.is_control()) {
                let what = format!("`{}` holds the control character {c:?}", shown(cell));
                return Err(problem(name, what, "write the value in one line"));
            }
        }
        let required = |name: &str, remedy: &str| {
            self.cell(row, name).ok_or_else(|| problem(name, "it is empty".to_owned(), remedy))
        };
        let identity = required("employee_id", "write the person's stable number")?;
        let identity = IdentityId::new(&identity).map_err(|e| {
            problem("employee_id", e.to_string(), "write the person's stable number")
        })?;
        let zone =
            required("zone", "write a zone like `Europe/Berlin`; dates mean nothing without")?;
        let zone = ZoneId::new(&zone)
            .map_err(|e| problem("zone", e.to_string(), "write a zone like `Europe/Berlin`"))?;
        let kinds = "write employment, contract, internship or service";
        let kind = match required("kind", kinds)?.as_str() {
            "employment" => EngagementKind::Employment,
            "contract" => EngagementKind::Contract,
            "internship" => EngagementKind::Internship,
            "service" => EngagementKind::Service,
            other => {
                let what = format!("`{}` is no kind of engagement", shown(other));
                return Err(problem("kind", what, kinds));
            }
        };
        let date = |name: &str| match self.cell(row, name) {
            None => Ok(None),
            Some(text) => NaiveDate::parse_from_str(&text, "%Y-%m-%d").map(Some).map_err(|_| {
                let what = format!("`{}` is not a date", shown(&text));
                problem(name, what, "write dates like 2026-01-31")
            }),
        };
        let start = date("start")?
            .ok_or_else(|| problem("start", "it is empty".to_owned(), "write the first day"))?;
        let end = date("end")?;
        if end.is_some_and(|end| end < start) {
            let what = "the last day comes before the first".to_owned();
            return Err(problem("end", what, "correct one of the dates"));
        }
        let instant = |name: &str| match self.cell(row, name) {
            None => Ok(None),
            Some(text) => DateTime::parse_from_rfc3339(&text)
                .map(|parsed| Some(parsed.to_utc()))
                .map_err(|_| {
                    let what = format!("`{}` is not an instant", shown(&text));
                    problem(name, what, "write an instant like 2026-01-31T14:00:00+01:00")
                }),
        };
        let cut_off = instant("cut_off")?;
        let entered_at = instant("entered_at")?;
        if kind == EngagementKind::Contract && end.is_none() && cut_off.is_none() {
            let what = "a contract has no end".to_owned();
            return Err(problem("end", what, "write the last day of the contract"));
        }
        let ending = match self.cell(row, "status").as_deref() {
            None | Some("active") => Ending::Ordinary,
            Some("for_cause") => Ending::ForCause,
            Some("no_show") => Ending::NoShow,
            Some("rescinded") => Ending::Rescinded,
            Some("deceased") => Ending::Deceased,
            Some(other) => {
                let what = format!("`{}` is no status", shown(other));
                let remedy = "write active, for_cause, no_show, rescinded or deceased";
                return Err(problem("status", what, remedy));
            }
        };
        let leaves = match (date("leave_from")?, date("leave_to")?) {
            (None, None) => Vec::new(),
            (None, Some(_)) => {
                let what = "it is empty, and `leave_to` is not".to_owned();
                return Err(problem("leave_from", what, "write the first day away"));
            }
            (Some(from), to) if to.is_some_and(|to| to < from) => {
                let what = "the leave ends before it begins".to_owned();
                return Err(problem("leave_to", what, "correct one of the dates"));
            }
            (Some(from), to) => vec![Leave { from, to }],
        };
        let engagement = match self.cell(row, "engagement_id") {
            Some(id) => EngagementId::new(id),
            None => EngagementId::new(format!("{identity}-1")),
        };
        let engagement = engagement.map_err(|e| {
            problem("engagement_id", e.to_string(), "write the engagement's stable number")
        })?;
        let identity_kind = match self.cell(row, "owner") {
            None => IdentityKind::Person,
            Some(owner) => {
                let owner = IdentityId::new(owner).map_err(|e| {
                    problem("owner", e.to_string(), "write the owner's employee_id")
                })?;
                IdentityKind::NonHuman { owner }
            }
        };
        Ok(FeedRecord {
            identity,
            kind: identity_kind,
            engagement: Engagement {
                id: engagement,
                kind,
                start,
                end,
                ending,
                cut_off,
                leaves,
                zone: Some(zone),
                source: source.clone(),
                recorded_at: at,
                entered_at,
            },
            attributes: self.attributes(row)?,
            line,
        })
    }

    fn attributes(
        &self,
        row: &csv::StringRecord,
    ) -> Result<BTreeMap<AttributeName, Opinion>, Problem> {
        let mut out = BTreeMap::new();
        for (index, name, ty) in &self.attributes {
            let text = row.get(*index).unwrap_or_default().trim();
            let opinion = if text.is_empty() {
                Opinion::AssertedNull
            } else {
                let value = AttributeValue::parse(*ty, text).map_err(|_| {
                    let what = format!("`{}` is not a value of type {ty}", shown(text));
                    let remedy = match ty {
                        AttributeType::Date => "write dates like 2026-01-31",
                        AttributeType::Boolean => "write true or false",
                        _ => "write a whole number",
                    };
                    (name.to_string(), what, remedy.to_owned())
                })?;
                Opinion::Value(value)
            };
            out.insert(name.clone(), opinion);
        }
        Ok(out)
    }
}
