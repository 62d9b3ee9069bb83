//! Objects of a cluster with files laid over them, and the gateways they are for. Decides nothing about what they mean:
//! that is `translate`'s, which is asked here for one gateway after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use controller::fleet::{Home, scope_of_pod};
use controller::limits::ControllerLimits;
use controller::source::{Content, FileChange, Paths};
use crds::object::DEFAULT_NAMESPACE;
use crds::yaml::{Outcome, Position, Spans};
use crds::{Body, Object, ObjectKey};
use translate::analyze::Message;
use translate::{
    Change, Changes, Problem, ProxyScope, Report, Severity, TranslationLimits, Translator, World, validate,
};

use crate::kubernetes::{Cluster, Read, SecretAnswer};

const STDIN: &str = "<stdin>";
/// Endings of files that are read from directories.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Where an object stands in a file.
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    spans: Spans,
}

impl Place {
    pub(crate) fn locate(&self, field: &str) -> Position {
        self.spans.locate(field)
    }
}

/// Text that is no object.
pub(crate) struct Broken {
    pub(crate) file: PathBuf,
    pub(crate) position: Position,
    pub(crate) text: String,
}

/// A gateway: pods that are told the same.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) scope: ProxyScope,
    pub(crate) pods: Vec<String>,
}

impl Workload {
    /// `NAME.NAMESPACE`
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.scope.name, self.scope.namespace)
    }
}

#[derive(Default)]
pub(crate) struct Inventory {
    home: Option<Home>,
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    places: BTreeMap<ObjectKey, Place>,
    /// What is wrong with objects by themselves.
    pub(crate) own: Vec<Message>,
    pub(crate) broken: Vec<Broken>,
    /// What could not be read, for people.
    pub(crate) notes: Vec<String>,
    /// Secrets nobody here may see.
    unknown_secrets: BTreeSet<(String, String)>,
    /// When objects that the cluster does not have yet would be created; without a cluster none is older than another.
    creation: Option<i64>,
}

impl Inventory {
    pub(crate) fn new(control_namespace: &str) -> Self {
        let home = Home {
            control_namespace: control_namespace.to_owned(),
            cluster: "Kubernetes".to_owned(),
            limits: TranslationLimits::default(),
            bounds: ControllerLimits::default(),
        };
        Self { home: Some(home), ..Self::default() }
    }

    pub(crate) fn control_namespace(&self) -> &str {
        self.home.as_ref().map_or("istio-system", |home| &home.control_namespace)
    }

    /// What a cluster has.
    pub(crate) fn add_cluster(&mut self, read: Read) {
        let Read { objects, failures, notes } = read;
        self.notes.extend(notes);
        self.creation = Some(jiff::Timestamp::now().as_second());
        self.own.extend(failures.into_iter().map(|(key, field, text)| Message::unreadable(key, &field, &text)));
        for object in objects {
            self.add(object);
        }
    }

    /// Files over it: whole objects take the place of those of their name.
    pub(crate) fn add_files(&mut self, paths: &[PathBuf], recursive: bool, namespace: &str) -> anyhow::Result<()> {
        let (mut changes, mut objects) = (Vec::new(), Vec::new());
        for path in paths {
            if path == Path::new("-") {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
                changes.push(FileChange::from_text(STDIN, &text));
            } else if path.is_dir() && !recursive {
                objects.extend(files_of(path)?);
            } else {
                objects.push(path.clone());
            }
        }
        if !objects.is_empty() {
            changes.extend(controller::source::read(&Paths { objects, mesh_config: None })?);
        }
        for FileChange { path, content } in changes {
            match content {
                Content::Text { text: _, documents } => {
                    for document in documents {
                        self.add_document(&path, document.spans, document.outcome, namespace);
                    }
                }
                Content::Unreadable { why } => anyhow::bail!("{} cannot be read: {why}", path.display()),
                Content::Gone => {}
            }
        }
        Ok(())
    }

    fn add_document(&mut self, file: &Path, spans: Spans, outcome: Outcome, namespace: &str) {
        match outcome {
            Outcome::Object(mut object) => {
                // As `kubectl apply` does.
                let says_none = spans.locate_key("metadata.namespace") == spans.locate_key("metadata");
                if says_none && object.meta.namespace == DEFAULT_NAMESPACE {
                    namespace.clone_into(&mut object.meta.namespace);
                }
                let known = self.objects.get(&object.key()).and_then(|known| known.meta.created);
                object.meta.created = object.meta.created.or(known).or(self.creation);
                let place = Place { file: file.to_owned(), spans };
                self.places.insert(object.key(), place);
                self.add(object);
            }
            Outcome::Failed(failure) => {
                for error in failure.errors {
                    let text = error.to_string();
                    self.broken.push(Broken { file: file.to_owned(), position: error.position, text });
                }
            }
            Outcome::Skipped { .. } | Outcome::Empty => {}
        }
    }

    /// An object that admission would refuse is told of and left out: the one before stays in force.
    fn add(&mut self, object: Object) {
        let key = object.key();
        let reports = validate(&object);
        self.own.retain(|message| message.object != key);
        self.own.extend(reports.iter().map(Message::from));
        if reports.iter().all(|report| report.problem.severity() != Severity::Error) {
            self.objects.insert(key, Arc::new(object));
        }
    }

    /// Where an object stands, if it came from a file.
    pub(crate) fn place(&self, key: &ObjectKey) -> Option<&Place> {
        self.places.get(key)
    }

    pub(crate) fn world(&self) -> World {
        let changes = self.objects.values().map(|object| Change::Upsert(Arc::clone(object))).collect();
        World::default().apply(changes).0
    }

    /// Reads the Secrets that gateways need, and only those.
    pub(crate) async fn read_secrets(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let world = self.world();
        let mut wanted = BTreeSet::new();
        for workload in self.workloads() {
            let translator = translate(&world, &workload.scope);
            let names = translator.wanted_secrets().map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
            wanted.extend(names);
        }
        for (key, answer) in cluster.secrets(wanted).await? {
            match answer {
                SecretAnswer::There(object) => {
                    self.objects.entry(key).or_insert_with(|| Arc::new(*object));
                }
                SecretAnswer::Missing => {}
                SecretAnswer::Unknown => {
                    self.notes.push(format!("{key} cannot be read by you; whether it can be used is not known"));
                    self.unknown_secrets.insert((key.namespace, key.name));
                }
            }
        }
        Ok(())
    }

    /// The gateways: pods that a Gateway selects or that say they are one; for a selector that selects no pod, one as it
    /// would be.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let Some(home) = &self.home else { return Vec::new() };
        let mut selectors: Vec<(&BTreeMap<String, String>, &str)> = Vec::new();
        for object in self.objects.values() {
            if let Body::Gateway(spec) = &object.body
                && let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty())
            {
                selectors.push((selector, &object.meta.namespace));
            }
        }
        let selects = |selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>| {
            selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let mut found: Vec<Workload> = Vec::new();
        for object in self.objects.values().filter(|object| matches!(object.body, Body::Pod(_))) {
            let labels = &object.meta.labels;
            if !selectors.iter().any(|(selector, _)| selects(selector, labels)) && !is_gateway(labels) {
                continue;
            }
            let Some(scope) = scope_of_pod(object, home) else { continue };
            match found.iter_mut().find(|workload| workload.scope == scope) {
                Some(workload) => workload.pods.push(object.meta.name.clone()),
                None => found.push(Workload { scope, pods: vec![object.meta.name.clone()] }),
            }
        }
        for (selector, namespace) in selectors {
            if found.iter().any(|workload| selects(selector, &workload.scope.labels)) {
                continue;
            }
            let name = selector.get("istio").or_else(|| selector.values().next()).cloned().unwrap_or_default();
            let scope = ProxyScope {
                name,
                namespace: namespace.to_owned(),
                labels: selector.clone(),
                control_namespace: home.control_namespace.clone(),
                cluster: home.cluster.clone(),
            };
            found.push(Workload { scope, pods: Vec::new() });
        }
        found
    }

    /// Whether a report is about a Secret that one may not see.
    pub(crate) fn is_unknowable(&self, report: &Report, workload: &Workload) -> bool {
        match &report.problem {
            Problem::UnknownSecret { secret } => {
                self.unknown_secrets.contains(&(workload.scope.namespace.clone(), secret.clone()))
            }
            _ => false,
        }
    }
}

/// Labels of the gateway chart.
pub(crate) fn is_gateway(labels: &BTreeMap<String, String>) -> bool {
    let is = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
    is("app.kubernetes.io/part-of", "sluice") && is("app.kubernetes.io/component", "gateway")
}

/// What one gateway is told.
pub(crate) fn translate(world: &World, scope: &ProxyScope) -> Translator {
    let mut translator = Translator::new(scope.clone());
    translator.update(world, &Changes::default());
    translator
}

fn files_of(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("{} cannot be read", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
