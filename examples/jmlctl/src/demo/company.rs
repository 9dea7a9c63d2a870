//! The made-up company: invented people and the feed that speaks of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::NaiveDate;

/// A person or a robot, as the HR system has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) engagement: u32,
    pub(crate) kind: &'static str,
    pub(crate) start: NaiveDate,
    pub(crate) end: Option<NaiveDate>,
    pub(crate) zone: &'static str,
    pub(crate) status: &'static str,
    pub(crate) cut_off: &'static str,
    pub(crate) leave: Option<(NaiveDate, NaiveDate)>,
    pub(crate) owner: &'static str,
    pub(crate) name: String,
    pub(crate) department: &'static str,
    pub(crate) title: &'static str,
    pub(crate) manager: &'static str,
}

/// What HR knows. Engagements by person and number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Company {
    pub(crate) rows: BTreeMap<(String, u32), Row>,
}

const FIRST: [&str; 20] = [
    "Abel", "Bria", "Cato", "Dena", "Elio", "Fara", "Gino", "Hedy", "Ivar", "Juna", "Kilo", "Lora",
    "Milo", "Nela", "Otis", "Pia", "Quin", "Rena", "Silo", "Tova",
];
const LAST: [&str; 17] = [
    "Arden", "Bellow", "Corvin", "Dahlby", "Estover", "Farrow", "Gant", "Holm", "Ingram", "Jessop",
    "Kestrel", "Lund", "Marrow", "Norwood", "Oakes", "Pell", "Rowe",
];
const ZONES: [&str; 4] = ["Europe/Berlin", "Europe/Lisbon", "America/New_York", "Asia/Tokyo"];

/// The zone of the n-th person.
pub(crate) const fn zone(n: usize) -> &'static str {
    match n % 7 {
        0..=3 => ZONES[0],
        4 => ZONES[1],
        5 => ZONES[2],
        _ => ZONES[3],
    }
}

/// The country of a zone: some targets sell licences by it.
fn country(zone: &str) -> &'static str {
    match zone {
        "Europe/Lisbon" => "PT",
        "America/New_York" => "US",
        "Asia/Tokyo" => "JP",
        _ => "DE",
    }
}

/// Department, title and manager of the n-th person.
pub(crate) const fn job(n: usize) -> (&'static str, &'static str, &'static str) {
    match n % 12 {
        0 | 1 => ("engineering", "Engineer", "E0002"),
        2 | 3 => ("platform", "Engineer", "E0003"),
        4 if n % 24 == 4 => ("platform", "Operator", "E0003"),
        4..=6 => ("engineering", "Engineer", "E0002"),
        7 => ("finance", "Clerk", "E0004"),
        8 if n % 36 == 8 => ("finance", "Controller", "E0004"),
        8 => ("finance", "Clerk", "E0004"),
        9 | 10 => ("sales", "Seller", "E0005"),
        _ if n % 48 == 11 => ("people", "Partner", "E0006"),
        _ => ("sales", "Seller", "E0005"),
    }
}

/// A date of the story.
pub(crate) fn date(month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, month, day).unwrap_or_default()
}

impl Company {
    /// The staff at the beginning of the year.
    pub(crate) fn new() -> Self {
        let mut company = Self::default();
        let heads = [
            ("company", "Director", ""),
            ("engineering", "Lead", "E0001"),
            ("platform", "Lead", "E0002"),
            ("finance", "Lead", "E0001"),
            ("sales", "Lead", "E0001"),
            ("people", "Lead", "E0001"),
        ];
        for (n, (department, title, manager)) in heads.into_iter().enumerate() {
            company.hire(
                n + 1,
                date(1, 1) - chrono::TimeDelta::days(2000),
                (department, title, manager),
            );
        }
        for n in 7..=184 {
            let days = i64::try_from(n * 9 % 1500).unwrap_or(0) + 30;
            company.hire(n, date(1, 1) - chrono::TimeDelta::days(days), job(n));
        }
        for (n, end) in [(185, date(10, 30)), (186, date(12, 18)), (187, date(12, 18))] {
            company.hire(
                n,
                date(1, 1) - chrono::TimeDelta::days(60),
                ("engineering", "Engineer", "E0002"),
            );
            if let Some(row) = company.row(n) {
                (row.kind, row.end) = ("contract", Some(end));
            }
        }
        company.hire(188, date(1, 1), ("engineering", "Robot", ""));
        if let Some(row) = company.row(188) {
            (row.kind, row.owner, row.zone) = ("service", "E0003", "Europe/Berlin");
            "Build Robot".clone_into(&mut row.name);
        }
        company
    }

    /// Adds a person with a first engagement.
    pub(crate) fn hire(
        &mut self,
        n: usize,
        start: NaiveDate,
        (department, title, manager): (&'static str, &'static str, &'static str),
    ) {
        let first = FIRST.get(n % FIRST.len()).copied().unwrap_or_default();
        let last = LAST.get(n / FIRST.len() * 3 % LAST.len()).copied().unwrap_or_default();
        let row = Row {
            id: format!("E{n:04}"),
            engagement: 1,
            kind: "employment",
            start,
            zone: zone(n),
            name: format!("{first} {last}"),
            department,
            title,
            manager,
            ..Row::default()
        };
        self.rows.insert((row.id.clone(), 1), row);
    }

    /// The first engagement of the n-th person.
    pub(crate) fn row(&mut self, n: usize) -> Option<&mut Row> {
        self.rows.get_mut(&(format!("E{n:04}"), 1))
    }

    /// The feed: what HR would export today.
    pub(crate) fn csv(&self) -> String {
        let mut out = String::from(
            "employee_id,engagement_id,kind,start,end,zone,status,cut_off,leave_from,leave_to,owner,\
             full_name,given_name,family_name,email,department,title,manager,country\n",
        );
        for row in self.rows.values() {
            let day = |date: Option<NaiveDate>| date.map(|d| d.to_string()).unwrap_or_default();
            let mail =
                format!("{}.{}", row.name.to_lowercase().replace(' ', "."), row.id.to_lowercase());
            let (given, family) = row.name.split_once(' ').unwrap_or((&row.name, ""));
            let _ = writeln!(
                out,
                "{},{}-{},{},{},{},{},{},{},{},{},{},{},{given},{family},{mail}@example.org,{},{},{},{}",
                row.id,
                row.id,
                row.engagement,
                row.kind,
                row.start,
                day(row.end),
                row.zone,
                row.status,
                row.cut_off,
                day(row.leave.map(|leave| leave.0)),
                day(row.leave.map(|leave| leave.1)),
                row.owner,
                row.name,
                row.department,
                row.title,
                row.manager,
                country(row.zone)
            );
        }
        out
    }
}
