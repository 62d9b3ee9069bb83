//! Who asks the API server: clients, kubeconfigs and `kubectl` for any user. A user is a client certificate, so there are
//! as many as tests want; service accounts use real tokens.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::config::{AuthInfo, Config};
use serde_json::json;

use super::ControlPlane;

/// May do everything.
const ADMIN: &str = "admin";

impl ControlPlane {
    /// Where the API server listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate that signed the API server's, in PEM.
    #[must_use]
    pub fn root_certificate(&self) -> String {
        self.pki.root_pem()
    }

    /// A client that may do everything. It belongs to the runtime it is made in, as every client.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.client(ADMIN)
    }

    /// A client for this user, who is in no group but `system:authenticated`; `admin` may do everything.
    #[must_use]
    pub fn client(&self, user: &str) -> Client {
        self.client_of(user, group_of(user))
    }

    /// A client for this user in this group.
    ///
    /// # Panics
    /// When called outside of a runtime.
    #[must_use]
    pub fn client_of(&self, user: &str, group: Option<&str>) -> Client {
        let issued = self.pki.issue_client(user, group);
        let auth_info = AuthInfo {
            client_certificate_data: Some(STANDARD.encode(issued.certificate)),
            client_key_data: Some(STANDARD.encode(issued.key).into()),
            ..AuthInfo::default()
        };
        self.client_with(auth_info)
    }

    /// A client that shows this token.
    ///
    /// # Panics
    /// When called outside of a runtime.
    #[must_use]
    pub fn client_with_token(&self, token: &str) -> Client {
        self.client_with(AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() })
    }

    fn client_with(&self, auth_info: AuthInfo) -> Client {
        let mut config = Config::new(self.url.parse().expect("our own address"));
        config.root_cert = Some(vec![self.pki.root_der()]);
        config.auth_info = auth_info;
        Client::try_from(config).expect("a client for our own address")
    }

    /// A kubeconfig for this user, as for [`ControlPlane::client`].
    #[must_use]
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.kubeconfig_of(user, group_of(user))
    }

    /// A kubeconfig for this user in this group.
    #[must_use]
    pub fn kubeconfig_of(&self, user: &str, group: Option<&str>) -> PathBuf {
        let issued = self.pki.issue_client(user, group);
        let credentials = json!({
            "client-certificate-data": STANDARD.encode(issued.certificate),
            "client-key-data": STANDARD.encode(issued.key),
        });
        self.write_kubeconfig(user, &credentials)
    }

    /// A kubeconfig that shows this token.
    #[must_use]
    pub fn kubeconfig_with_token(&self, name: &str, token: &str) -> PathBuf {
        self.write_kubeconfig(name, &json!({ "token": token }))
    }

    fn write_kubeconfig(&self, user: &str, credentials: &serde_json::Value) -> PathBuf {
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "plane",
            "clusters": [{"name": "plane", "cluster": {
                "server": self.url,
                "certificate-authority-data": STANDARD.encode(self.pki.root_pem()),
            }}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": user}}],
        });
        // A name of its own each time: the same user may be in another group.
        let name = format!("{}-{:08x}.kubeconfig", user.replace([':', '/'], "-"), fastrand::u32(..));
        self.directory.write(&name, &text.to_string())
    }

    /// Runs `kubectl` as `admin` and gives what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_as(ADMIN, arguments).await.unwrap_or_else(|why| panic!("kubectl {arguments:?}: {why}"))
    }

    /// Runs `kubectl` as this user.
    ///
    /// # Errors
    /// What it says when it fails.
    ///
    /// # Panics
    /// When it cannot be run.
    pub async fn kubectl_as(&self, user: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.kubectl_command(user);
        command.args(arguments);
        output(command).await
    }

    /// `kubectl` as this user, to be given arguments.
    #[must_use]
    pub fn kubectl_command(&self, user: &str) -> Command {
        let mut command = Command::new(self.assets.join("kubectl"));
        command
            .env("KUBECONFIG", self.kubeconfig(user))
            // What it remembers of the API must not be another control plane's.
            .env("KUBECACHEDIR", self.directory.path().join("kubectl"))
            .stdin(Stdio::null());
        command
    }
}

/// What a command prints.
///
/// # Errors
/// What it prints when it fails.
pub(crate) async fn output(mut command: Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it does not panic");
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(stdout) } else { Err(stdout + &String::from_utf8_lossy(&output.stderr)) }
}

fn group_of(user: &str) -> Option<&'static str> {
    (user == ADMIN).then_some("system:masters")
}
