//! Holds what goes over the wire against the documents that vendors publish (`OpenAPI` 3.1).
//!
//! A fake that answers what no real server would is worse than none, and a connector that only its own fake
//! accepts is not right. Put a [`Documents`] before a fake ([`Fake::watched`](crate::fake::Fake::watched)),
//! and every request and every answer is looked up and validated: method and path, names and values of query
//! parameters, body, status, content.
//!
//! What a document does not list at all (an answer of status 403 where only 200 is described) counts as
//! [`Tally::unlisted`] and not as wrong: vendors describe success.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};

use crate::fake::{Request, Response, Watch, decode, query};

/// Some documents, and what was held against them. Clones share both.
#[derive(Clone, Default)]
pub struct Documents {
    documents: Arc<Vec<Document>>,
    /// Operations that are real and that the documents leave out.
    beyond: Arc<Vec<(Method, &'static str)>>,
    /// Operations, and places in what they answer, for which the documents are wrong.
    wrong: Arc<Vec<(&'static str, &'static str)>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    validators: BTreeMap<(usize, String), Option<Arc<Validator>>>,
    tally: Tally,
}

/// What was held against documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Requests that were validated.
    pub requests: u64,
    /// Answers that were validated.
    pub responses: u64,
    /// Answers with a status that the document does not describe.
    pub unlisted: u64,
    /// Exchanges of operations that the documents leave out.
    pub beyond: u64,
    /// What does not agree where the documents are known to be wrong.
    pub excused: u64,
    /// Which operations were used, and how often.
    pub operations: BTreeMap<String, u64>,
    /// What was wrong, each once.
    pub problems: BTreeMap<String, u64>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests and {} answers over {} operations agree with the documents; {} answers of a \
             status that none describes, {} exchanges that none has; {} problems",
            self.requests,
            self.responses,
            self.operations.len(),
            self.unlisted,
            self.beyond,
            self.problems.len()
        )?;
        self.problems.iter().try_for_each(|(what, times)| write!(f, "\n  {times} x {what}"))
    }
}

struct Document {
    name: String,
    base: String,
    uri: String,
    value: Value,
    registry: Registry<'static>,
}

/// A document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
#[non_exhaustive]
pub struct DocumentError {
    /// Which.
    pub path: String,
    /// Why.
    pub what: String,
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.documents.iter().map(|it| it.name.as_str()).collect();
        f.debug_struct("Documents").field("documents", &names).finish_non_exhaustive()
    }
}

impl Documents {
    /// Reads documents, each with the path under which the fake serves it (`/v1.0`, or nothing).
    ///
    /// # Errors
    /// [`DocumentError`] when one cannot be read or is no `OpenAPI` document.
    pub fn read<P: AsRef<Path>>(
        files: impl IntoIterator<Item = (P, &'static str)>,
    ) -> Result<Self, DocumentError> {
        let mut documents = Vec::new();
        for (number, (file, base)) in files.into_iter().enumerate() {
            let path = file.as_ref().display().to_string();
            let wrong = |what: String| DocumentError { path: path.clone(), what };
            let text = std::fs::read_to_string(&file).map_err(|e| wrong(e.to_string()))?;
            let mut value: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
            discriminate(&mut value);
            if !value["paths"].is_object() {
                return Err(wrong("it has no paths".to_owned()));
            }
            let name = file.as_ref().file_stem().unwrap_or_default().to_string_lossy();
            let uri = format!("https://documents.test/{number}.json");
            let name = name.into_owned();
            let registry = Registry::new()
                .draft(Draft::Draft202012)
                .add(uri.as_str(), value.clone())
                .and_then(jsonschema::RegistryBuilder::prepare)
                .map_err(|e| wrong(e.to_string()))?;
            documents.push(Document { name, base: base.to_owned(), uri, value, registry });
        }
        Ok(Self { documents: Arc::new(documents), ..Self::default() })
    }

    /// The same for documents that were trimmed: operations that are real and are not in them, as path
    /// templates. They are counted ([`Tally::beyond`]) and not validated.
    #[must_use]
    pub fn beyond(mut self, operations: impl IntoIterator<Item = (Method, &'static str)>) -> Self {
        self.beyond = Arc::new(operations.into_iter().collect());
        self
    }

    /// The same for documents that are known to be wrong somewhere: what is wrong below a place in an answer
    /// (`/_embedded/`) of an operation (`GET /api/v1/apps`) is counted ([`Tally::excused`]) and no problem.
    #[must_use]
    pub fn excusing(
        mut self,
        wrong: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        self.wrong = Arc::new(wrong.into_iter().collect());
        self
    }

    /// What was held against them so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).tally.clone()
    }

    /// Holds one exchange against them.
    pub fn check(&self, request: &Request, response: &Response) {
        let mut problems = Vec::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let path = request.uri().path();
        let found = self.find(request.method(), path);
        let Some((at, template, values)) = found else {
            let known = self.beyond.iter().any(|(method, template)| {
                method == request.method() && matches(template, path).is_some()
            });
            if known {
                state.tally.beyond += 1;
                return;
            }
            // What no document knows, a server does not know either.
            if response.status() != http::StatusCode::NOT_FOUND {
                let text = format!("{} {path}: no document has it", request.method());
                *state.tally.problems.entry(text).or_insert(0) += 1;
            }
            return;
        };
        let Some(document) = self.documents.get(at) else { return };
        let method = request.method().as_str().to_lowercase();
        let name = format!("{}: {} {template}", document.name, request.method());
        let item = &document.value["paths"][&template];
        let operation = &item[&method];
        *state.tally.operations.entry(name.clone()).or_insert(0) += 1;

        let pointer = format!("/paths/{}/{method}", escape(&template));
        let failed = response.status().is_client_error();
        // A request that the server refused may have been wrong on purpose.
        if !failed {
            let declared = document.parameters(item, operation);
            let given = query(request);
            for (name, value) in &given {
                let known = declared.iter().find(|it| it["in"] == "query" && it["name"] == *name);
                match known {
                    None => problems.push(format!("query parameter `{name}` is not documented")),
                    Some(it) => {
                        problems.extend(mismatch(name, value, &document.resolve(&it["schema"])));
                    }
                }
            }
            for it in declared.iter().filter(|it| it["required"] == true) {
                let name = it["name"].as_str().unwrap_or_default();
                match it["in"].as_str() {
                    Some("query") if !given.contains_key(name) => {
                        problems.push(format!("query parameter `{name}` is missing"));
                    }
                    Some("path") if values.iter().any(String::is_empty) => {
                        problems.push(format!("`{name}` is empty"));
                    }
                    _ => {}
                }
            }
            problems.extend(self.body(&mut state, at, document, &pointer, request));
            state.tally.requests += 1;
        }

        let status = response.status().as_u16().to_string();
        let family = format!("{}XX", &status.chars().next().unwrap_or('0'));
        let responses = &operation["responses"];
        let listed = [status.as_str(), family.as_str(), "default"]
            .into_iter()
            .find(|it| responses.get(*it).is_some());
        match listed {
            None if response.status().is_success() => {
                problems.push(format!("status {status} is not documented"));
            }
            None => state.tally.unlisted += 1,
            Some(key) => {
                let place = format!("{pointer}/responses/{key}");
                let place = document.follow(&place);
                problems.extend(self.content(&mut state, at, document, &place, response, "answer"));
                state.tally.responses += 1;
            }
        }
        for problem in problems {
            let excused = self.wrong.iter().any(|(operation, place)| {
                name.ends_with(&format!(": {operation}")) && problem.contains(place)
            });
            if excused {
                state.tally.excused += 1;
                continue;
            }
            *state.tally.problems.entry(format!("{name} ({status}): {problem}")).or_insert(0) += 1;
        }
    }

    fn body(
        &self,
        state: &mut State,
        at: usize,
        document: &Document,
        pointer: &str,
        request: &Request,
    ) -> Vec<String> {
        let place = document.follow(&format!("{pointer}/requestBody"));
        let described = document.value.pointer(&place);
        if request.body().is_empty() {
            let needed = described.is_some_and(|it| it["required"] == true);
            return if needed { vec!["the body is missing".into()] } else { Vec::new() };
        }
        if described.is_none() {
            return vec!["a body that is not documented".into()];
        }
        let kind = request.headers().get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|it| it.to_str().ok()).unwrap_or_default();
        self.held(state, at, document, &place, kind, request.body(), "body")
    }

    fn content(
        &self,
        state: &mut State,
        at: usize,
        document: &Document,
        place: &str,
        response: &Response,
        what: &str,
    ) -> Vec<String> {
        let described = document.value.pointer(place);
        let has = described.is_some_and(|it| it["content"].is_object());
        if response.body().is_empty() {
            return Vec::new();
        }
        if !has {
            return vec![format!("the {what} has a body, and none is documented")];
        }
        let kind = response.headers().get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|it| it.to_str().ok()).unwrap_or_default();
        self.held(state, at, document, place, kind, response.body(), what)
    }

    /// A body against the schema of its type.
    #[expect(clippy::too_many_arguments, reason = "one body, and where its schema lies")]
    fn held(
        &self,
        state: &mut State,
        at: usize,
        document: &Document,
        place: &str,
        kind: &str,
        body: &[u8],
        what: &str,
    ) -> Vec<String> {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let content = document.value.pointer(place).map(|it| &it["content"]);
        let types = content.and_then(Value::as_object);
        let Some(chosen) =
            types.and_then(|types| types.keys().find(|it| *it == kind || it.as_str() == "*/*"))
        else {
            return vec![format!("the {what} is of type `{kind}`, which is not documented")];
        };
        let body: Value = if kind.ends_with("x-www-form-urlencoded") {
            let pairs = String::from_utf8_lossy(body).into_owned();
            let pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
            pairs.map(|(k, v)| (decode(k), Value::from(decode(&v.replace('+', " "))))).collect()
        } else {
            match serde_json::from_slice(body) {
                Ok(body) => body,
                Err(e) => return vec![format!("the {what} is no JSON: {e}")],
            }
        };
        let schema = format!("{place}/content/{}/schema", escape(chosen));
        if document.value.pointer(&schema).is_none() {
            return Vec::new();
        }
        let key = (at, schema.clone());
        let validator = state.validators.entry(key).or_insert_with(|| {
            let reference = json!({ "$ref": format!("{}#{}", document.uri, fragment(&schema)) });
            let built = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .with_registry(&document.registry)
                .offline()
                .build(&reference);
            built.ok().map(Arc::new)
        });
        let Some(validator) = validator else {
            // A schema that does not compile validates nothing; whoever trusts it must know.
            return vec![format!("the schema of the {what} does not compile")];
        };
        validator
            .iter_errors(&body)
            .map(|error| {
                let text: String = error.to_string().chars().take(300).collect();
                format!("the {what} at `{}`: {text}", error.instance_path())
            })
            .collect()
    }

    /// The document and the path template that a request is for. A literal segment beats a variable one.
    fn find(&self, method: &Method, path: &str) -> Option<(usize, String, Vec<String>)> {
        let method = method.as_str().to_lowercase();
        let mut best: Option<(usize, usize, String, Vec<String>)> = None;
        for (at, document) in self.documents.iter().enumerate() {
            let Some(rest) = path.strip_prefix(document.base.as_str()) else { continue };
            let Some(paths) = document.value["paths"].as_object() else { continue };
            for (template, item) in paths {
                if item.get(&method).is_none() {
                    continue;
                }
                if let Some((literals, values)) = matches(template, rest)
                    && best.as_ref().is_none_or(|it| literals > it.0)
                {
                    best = Some((literals, at, template.clone(), values));
                }
            }
        }
        best.map(|(_, at, template, values)| (at, template, values))
    }
}

impl Watch for Documents {
    fn exchanged(&self, request: &Request, response: &Response) {
        self.check(request, response);
    }
}

impl Document {
    /// Where a pointer really leads, if there is a `$ref` at its end.
    fn follow(&self, pointer: &str) -> String {
        let reference = self.value.pointer(pointer).and_then(|it| it["$ref"].as_str());
        match reference.and_then(|it| it.strip_prefix('#')) {
            Some(place) => place.to_owned(),
            None => pointer.to_owned(),
        }
    }

    fn resolve(&self, value: &Value) -> Value {
        let place = value["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        place.and_then(|it| self.value.pointer(it)).unwrap_or(value).clone()
    }

    /// The parameters of a path and of its operation.
    fn parameters(&self, item: &Value, operation: &Value) -> Vec<Value> {
        let lists = [&item["parameters"], &operation["parameters"]];
        let all = lists.into_iter().filter_map(Value::as_array).flatten();
        // Google documents parameters of all operations beside the paths.
        all.map(|it| self.resolve(it)).collect()
    }
}

/// Where a discriminator picks one of several schemas, more than one may fit: `oneOf` becomes `anyOf` there.
fn discriminate(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("discriminator")
                && let Some(choices) = map.remove("oneOf")
            {
                map.insert("anyOf".to_owned(), choices);
            }
            map.values_mut().for_each(discriminate);
        }
        Value::Array(all) => all.iter_mut().for_each(discriminate),
        _ => {}
    }
}

/// The number of literal characters, and the values, if a path is of a template.
fn matches(template: &str, path: &str) -> Option<(usize, Vec<String>)> {
    let (mut literals, mut values) = (0, Vec::new());
    let (mut left, mut right) = (template.split('/'), path.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Some((literals, values)),
            (Some(wanted), Some(given)) => {
                let Some((before, rest)) = wanted.split_once('{') else {
                    if decode(given) != wanted {
                        return None;
                    }
                    literals += wanted.len() + 1;
                    continue;
                };
                let (_, after) = rest.split_once('}')?;
                let given = decode(given);
                let inner = given.strip_prefix(before)?.strip_suffix(after)?;
                literals += before.len() + after.len();
                values.push(inner.to_owned());
            }
            _ => return None,
        }
    }
}

/// What is wrong with a query parameter.
fn mismatch(name: &str, value: &str, schema: &Value) -> Option<String> {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let fits = types.iter().any(|it| match *it {
        "integer" => value.parse::<i64>().is_ok(),
        "number" => value.parse::<f64>().is_ok(),
        "boolean" => matches!(value, "true" | "false"),
        _ => true,
    });
    let listed = schema["enum"].as_array().is_none_or(|all| all.iter().any(|it| it == value));
    let number = value.parse::<f64>().ok();
    let beyond = |limit: &str, less: bool| {
        let limit = schema[limit].as_f64().zip(number);
        limit.is_some_and(|(limit, number)| if less { number < limit } else { number > limit })
    };
    let ok = fits && listed && !beyond("minimum", true) && !beyond("maximum", false);
    (!ok).then(|| format!("query parameter `{name}` is `{value}`"))
}

/// A key as a segment of a JSON pointer (RFC 6901 section 3).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A JSON pointer as a URI fragment (RFC 6901 section 6).
fn fragment(pointer: &str) -> String {
    pointer.replace('%', "%25").replace('{', "%7B").replace('}', "%7D").replace('$', "%24")
}
