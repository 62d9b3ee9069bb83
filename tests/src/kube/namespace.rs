//! A namespace for one test.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};

use super::{ControlPlane, apply, tokens};

/// Its name, mostly. It is not deleted: that is the controller manager's work, and the control plane is thrown away.
pub struct Namespace<'a> {
    plane: &'a ControlPlane,
    name: String,
    client: Client,
}

impl ControlPlane {
    /// A new one, named after the test, with the service account `default`.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn namespace(&self) -> Namespace<'_> {
        self.namespace_named(&fresh_name()).await
    }

    /// One with this name.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn namespace_named(&self, name: &str) -> Namespace<'_> {
        let client = self.admin();
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = k8s_openapi::api::core::v1::Namespace { metadata, ..Default::default() };
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.unwrap_or_else(|error| panic!("namespace {name}: {error}"));
        // Without the controller manager nobody else makes it, and no Pod is admitted without it.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
        tokens::make_account(&accounts, "default").await;
        Namespace { plane: self, name: name.to_owned(), client }
    }
}

impl Namespace<'_> {
    /// As [`ControlPlane::apply`], in this namespace unless a document names another one.
    ///
    /// # Panics
    /// When a document cannot be read, or the API server refuses one.
    pub async fn apply(&self, yaml: &str) -> Vec<DynamicObject> {
        self.try_apply(yaml).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// # Errors
    /// The API server's.
    pub async fn try_apply(&self, yaml: &str) -> Result<Vec<DynamicObject>, kube::Error> {
        apply::apply(&self.client, &self.name, yaml).await
    }

    /// The objects of this kind in it, as `admin`.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }
}

impl Deref for Namespace<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // No runtime here to ask with.
            let mut command = self.plane.kubectl_command("admin");
            let events = command.args(["get", "events", "--request-timeout=5s", "-n", &self.name]).output();
            if let Ok(events) = events {
                eprintln!("--- events in {}\n{}", self.name, String::from_utf8_lossy(&events.stdout));
            }
            eprintln!("{}", self.plane.api_server().log(20));
        }
    }
}

/// A name for a namespace that says which test it is for.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    let thread = std::thread::current();
    let test = thread.name().and_then(|name| name.rsplit("::").next()).unwrap_or("test");
    let test: String = test.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count}", test.trim_matches('-').to_ascii_lowercase())
}
