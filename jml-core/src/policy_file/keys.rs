//! The keys of the format: one table per section, for the reader and for the JSON Schema.

use std::fmt::Write as _;

/// What a key's value is, in JSON Schema.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    Count,
    Flag,
    Share,
    Any,
    TextList,
    Section(&'static Section),
    MapOf(&'static Section),
    ListOf(&'static Section),
    MapOfText,
    Choice(&'static [&'static str]),
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    shape: Shape,
    about: &'static str,
}

/// A section: a map with known keys.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) keys: &'static [Key],
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about }
}

pub(super) const MODES: [&str; 4] = ["observe", "additive", "relative", "full"];
pub(super) const SENSITIVITIES: [&str; 4] = ["standard", "sensitive", "privileged", "critical"];
pub(super) const TYPES: [&str; 5] = ["text", "integer", "boolean", "date", "text_set"];

pub(super) static ATTRIBUTE: Section = Section {
    keys: &[
        key("type", Shape::Choice(&TYPES), "Type of every value."),
        key("personal", Shape::Flag, "Whether values are personal data."),
        key("sources", Shape::TextList, "Sources in order of authority; the first owns the value."),
    ],
};

pub(super) static ENTITLEMENT: Section = Section {
    keys: &[
        key("title", Shape::Text, "In people's words."),
        key("sensitivity", Shape::Choice(&SENSITIVITIES), "How much harm it can do."),
        key(
            "assignability",
            Shape::Any,
            "direct, immutable, {computed: attribute}, {inherited: kind/id}, {external: text}.",
        ),
        key("exclusive", Shape::Text, "At most one of a group on one account."),
        key("seats", Shape::Count, "Seats that were bought."),
        key("owner", Shape::Text, "Identity id of who answers for it."),
        key("on_move", Shape::Any, "immediate, {overlap: days}, {until_attested: days}."),
    ],
};

pub(super) static GRANT: Section = Section {
    keys: &[
        key("entitlement", Shape::Text, "provider/kind/id."),
        key("days_before", Shape::Count, "Days before the first day."),
    ],
};

pub(super) static TASK: Section = Section {
    keys: &[
        key("title", Shape::Text, "In people's words."),
        key("moment", Shape::Choice(&["join", "leave"]), "What it is relative to."),
        key("days", Shape::Any, "Days before (negative) or after."),
        key("assignee", Shape::Any, "manager, {queue: text}, {identity: id}."),
    ],
};

pub(super) static ROLE: Section = Section {
    keys: &[
        key("title", Shape::Text, "In people's words."),
        key("version", Shape::Count, "Counts edits."),
        key("inherits", Shape::TextList, "Roles whose grants and tasks it has too."),
        key("grants", Shape::Any, "Entitlements, or {entitlement, days_before}."),
        key("tasks", Shape::MapOf(&TASK), "What people have to do."),
    ],
};

pub(super) static RULE: Section = Section {
    keys: &[
        key("title", Shape::Text, "In people's words."),
        key(
            "when",
            Shape::Any,
            "A condition: always, or one of all, any, not, eq, ne, lt, le, gt, ge, in, starts_with, present, within.",
        ),
        key("roles", Shape::TextList, "Roles that it assigns."),
        key("grants", Shape::TextList, "Access that it grants by itself."),
    ],
};

pub(super) static SOD: Section = Section {
    keys: &[
        key("title", Shape::Text, "In people's words."),
        key("duties", Shape::Any, "Lists of entitlements, one for each duty."),
        key("max", Shape::Count, "How many duties one person may hold; 1 if left out."),
    ],
};

pub(super) static ACCOUNT: Section = Section {
    keys: &[
        key("when", Shape::Any, "Who gets an account; everybody if left out."),
        key("days_before", Shape::Count, "Days before the first day at which it is staged."),
        key("user_name", Shape::Text, "Attribute with the sign-in name."),
        key(
            "on_taken",
            Shape::Choice(&["wait", "number"]),
            "When the name is or was somebody else's.",
        ),
        key("attributes", Shape::MapOfText, "Account attribute: identity attribute."),
        key("correlate", Shape::Section(&CORRELATE), "How accounts are found to be somebody's."),
    ],
};

pub(super) static CORRELATE: Section = Section {
    keys: &[
        key("strong", Shape::TextList, "Account attributes that only one person can have."),
        key(
            "weights",
            Shape::Any,
            "Account attribute: how much the same value speaks for a person.",
        ),
        key("link", Shape::Count, "Score from which it is somebody's."),
        key("ask", Shape::Count, "Score from which a person is asked."),
    ],
};

const APPROVERS: &str =
    "{manager: attribute}, {manager: {attribute, level}}, entitlement_owner, {named: [ids]}.";

pub(super) static ESCALATE: Section = Section {
    keys: &[
        key("after_hours", Shape::Count, "Hours after it was asked; 48 if left out."),
        key("to", Shape::Any, APPROVERS),
    ],
};

pub(super) static MANAGER: Section = Section {
    keys: &[
        key("attribute", Shape::Text, "Attribute with the manager's identity id."),
        key("level", Shape::Count, "1 for the manager, 2 for the manager's manager."),
    ],
};

pub(super) static STAGE: Section = Section {
    keys: &[
        key("approvers", Shape::Any, APPROVERS),
        key("quorum", Shape::Count, "How many must agree; 1 if left out."),
        key("escalate", Shape::Section(&ESCALATE), "Who may decide, too, when it takes long."),
    ],
};

pub(super) static DELEGATION: Section = Section {
    keys: &[key("max_days", Shape::Count, "Longest delegation that counts; 30 if left out.")],
};

pub(super) static GATE: Section = Section {
    keys: &[
        key("title", Shape::Text, "In people's words."),
        key(
            "sensitivity",
            Shape::Choice(&SENSITIVITIES),
            "Grants of at least this sensitivity wait.",
        ),
        key("entitlements", Shape::TextList, "Grants of these wait."),
        key("approvers", Shape::Any, APPROVERS),
        key("quorum", Shape::Count, "How many must agree; 1 if left out."),
        key("escalate", Shape::Section(&ESCALATE), "Who may decide, too, when it takes long."),
        key(
            "stages",
            Shape::ListOf(&STAGE),
            "Who must agree, one after the other; instead of `approvers` for a single stage.",
        ),
        key("expires_days", Shape::Count, "Days after which it counts as refused; 7 if left out."),
    ],
};

pub(super) static LEAVER: Section = Section {
    keys: &[
        key("manager", Shape::Text, "Attribute with the manager's identity id."),
        key("auto_reply", Shape::Text, "Answer to mail for somebody who left."),
        key("forward_to_manager", Shape::Flag, "Whether mail goes to the manager."),
        key("convert_mailbox", Shape::Flag, "Whether the mailbox becomes a shared one."),
        key("transfer_ownership", Shape::Flag, "Whether what only they own goes to the manager."),
        key("archive_after_days", Shape::Count, "Days until a closed account is archived."),
        key("delete_after_days", Shape::Count, "Days until a closed account is deleted."),
        key("contain_within_minutes", Shape::Count, "Target for containment; 5 if left out."),
    ],
};

pub(super) static MODE: Section = Section {
    keys: &[
        key("default", Shape::Choice(&MODES), "When nothing more specific is said."),
        key("providers", Shape::MapOfText, "Per provider."),
        key("kinds", Shape::Any, "Per provider and kind."),
        key("entitlements", Shape::MapOfText, "Per entitlement."),
    ],
};

pub(super) static BRAKES: Section = Section {
    keys: &[
        key("max_creates", Shape::Count, "Most accounts made in one batch."),
        key("max_deletes", Shape::Count, "Most accounts deleted in one batch; 25 if left out."),
        key("max_leavers", Shape::Count, "Most leavers in one batch."),
        key("max_leavers_share", Shape::Share, "Largest share of all people."),
        key("min_population", Shape::Count, "Shares apply from here on."),
        key("max_revokes", Shape::Count, "Most revokes in one batch."),
        key("max_revokes_share", Shape::Share, "Largest share of all holdings."),
        key("max_group_loss_share", Shape::Share, "Largest share of one entitlement's members."),
        key("max_privileged_revokes", Shape::Count, "Most privileged revokes in one batch."),
        key("max_leavers_in_window", Shape::Count, "Most leavers within the window."),
        key("window_hours", Shape::Count, "Length of the window."),
    ],
};

pub(super) static FEED: Section = Section {
    keys: &[
        key("max_row_drop_share", Shape::Share, "Largest drop in rows."),
        key("max_null_rise_share", Shape::Share, "Largest rise of empty cells in a column."),
        key("max_bad_rows_share", Shape::Share, "Largest share of refused rows."),
        key("max_age_hours", Shape::Count, "Oldest feed."),
    ],
};

pub(super) static PROTECTED: Section = Section {
    keys: &[
        key("accounts", Shape::TextList, "Accounts that are never touched, provider:account."),
        key("last_holder", Shape::TextList, "Entitlements that somebody must always hold."),
    ],
};

pub(super) static POLICY: Section = Section {
    keys: &[
        key("version", Shape::Text, "The policy's own version."),
        key("sources", Shape::TextList, "Default order in which sources are believed."),
        key("attributes", Shape::MapOf(&ATTRIBUTE), "Declared attributes."),
        key(
            "org",
            Shape::Any,
            "Organisation tree: unit: parent; nothing or an empty text for the root.",
        ),
        key("entitlements", Shape::MapOf(&ENTITLEMENT), "The catalogue, by provider/kind/id."),
        key("roles", Shape::MapOf(&ROLE), "Role templates."),
        key("rules", Shape::MapOf(&RULE), "Attribute rules."),
        key("sod", Shape::MapOf(&SOD), "Separation of duties."),
        key("accounts", Shape::MapOf(&ACCOUNT), "Who gets an account, by provider."),
        key("gates", Shape::MapOf(&GATE), "Which grants wait for whom."),
        key("delegation", Shape::Section(&DELEGATION), "How far decisions may be handed on."),
        key("leaver", Shape::Section(&LEAVER), "What happens when somebody leaves."),
        key("modes", Shape::Section(&MODE), "How far revoking may go."),
        key("brakes", Shape::Section(&BRAKES), "When a batch is stopped."),
        key("feed", Shape::Section(&FEED), "When a feed is refused."),
        key("protected", Shape::Section(&PROTECTED), "What is never touched or never lost."),
    ],
};

/// The JSON Schema (draft 2020-12) of the policy format, for editors. Made from the tables that the
/// reader goes by.
#[must_use]
pub fn json_schema() -> String {
    let mut out =
        String::from("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n");
    out.push_str("  \"title\": \"jml policy\",\n  \"required\": [\"version\"],\n");
    section(&mut out, &POLICY, 1);
    out.push_str("\n}\n");
    out
}

fn section(out: &mut String, section: &Section, depth: usize) {
    let pad = "  ".repeat(depth);
    let _ = write!(out, "{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": false,\n");
    let _ = writeln!(out, "{pad}\"properties\": {{");
    for (index, key) in section.keys.iter().enumerate() {
        let _ = writeln!(out, "{pad}  \"{}\": {{", key.name);
        let _ = write!(out, "{pad}    \"description\": \"{}\"", key.about);
        shape(out, key.shape, depth + 2);
        let comma = if index + 1 < section.keys.len() { "," } else { "" };
        let _ = write!(out, "\n{pad}  }}{comma}\n");
    }
    let _ = write!(out, "{pad}}}");
}

fn shape(out: &mut String, shape: Shape, depth: usize) {
    let pad = "  ".repeat(depth);
    let _ = match shape {
        Shape::Any => Ok(()),
        Shape::Text => write!(out, ",\n{pad}\"type\": \"string\""),
        Shape::Count => write!(out, ",\n{pad}\"type\": \"integer\",\n{pad}\"minimum\": 0"),
        Shape::Flag => write!(out, ",\n{pad}\"type\": \"boolean\""),
        Shape::Share => {
            write!(out, ",\n{pad}\"type\": \"string\",\n{pad}\"pattern\": \"^[0-9]+([.][0-9])?%$\"")
        }
        Shape::TextList => {
            write!(out, ",\n{pad}\"type\": \"array\",\n{pad}\"items\": {{ \"type\": \"string\" }}")
        }
        Shape::MapOfText => write!(
            out,
            ",\n{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": {{ \"type\": \"string\" }}"
        ),
        Shape::Choice(list) => {
            let names: Vec<String> = list.iter().map(|name| format!("\"{name}\"")).collect();
            write!(out, ",\n{pad}\"enum\": [{}]", names.join(", "))
        }
        Shape::Section(inner) => {
            out.push_str(",\n");
            section(out, inner, depth);
            Ok(())
        }
        Shape::ListOf(inner) => {
            let _ = write!(out, ",\n{pad}\"type\": \"array\",\n{pad}\"items\": {{\n");
            section(out, inner, depth + 1);
            write!(out, "\n{pad}}}")
        }
        Shape::MapOf(inner) => {
            let _ =
                write!(out, ",\n{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": {{\n");
            section(out, inner, depth + 1);
            write!(out, "\n{pad}}}")
        }
    };
}
