//! Asking the API server whose a token is. An answer that cannot be had is an error of its own: it never counts as a yes,
//! and not as a no either.

use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Api;
use kube::api::PostParams;

use super::PodRef;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Longest time that one review may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Somebody who can tell whose a token is.
pub trait TokenReviewer: Send + Sync {
    /// Checks a token that has to be for one of these audiences.
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> BoxFuture<'a, Result<Review, ReviewError>>;
}

/// The answer about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    Authenticated(TokenUser),
    /// Not a token of this cluster, expired, for another audience, or of a pod that is gone. The reason is for our log.
    Rejected {
        reason: String,
    },
}

/// Whose token it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUser {
    pub username: String,
    pub groups: Vec<String>,
    /// Those of the audiences asked for that the token is for.
    pub audiences: Vec<String>,
    pub pod: Option<PodRef>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("the API server did not answer a token review within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error("the controller's service account may not create tokenreviews.authentication.k8s.io")]
    Forbidden,
    #[error("the API server could not review a token")]
    Api(#[source] kube::Error),
    #[error("the API server answered a token review without a status")]
    NoStatus,
}

/// Reviews by the API server.
#[derive(Clone)]
pub struct KubeReviewer {
    client: kube::Client,
}

impl KubeReviewer {
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Result<Review, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec { audiences: Some(audiences.to_vec()), token: token.to_owned() },
            ..TokenReview::default()
        };
        let api = Api::<TokenReview>::all(self.client.clone());
        let answered = tokio::time::timeout(DEADLINE, api.create(&PostParams::default(), &review)).await;
        match answered {
            Err(_) => Err(ReviewError::Timeout),
            Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => Err(ReviewError::Forbidden),
            Ok(Err(error)) => Err(ReviewError::Api(error)),
            Ok(Ok(review)) => review.status.map(read).ok_or(ReviewError::NoStatus),
        }
    }
}

impl TokenReviewer for KubeReviewer {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> BoxFuture<'a, Result<Review, ReviewError>> {
        Box::pin(self.ask(token, audiences))
    }
}

fn read(status: TokenReviewStatus) -> Review {
    let TokenReviewStatus { audiences, authenticated, error, user } = status;
    if authenticated != Some(true) {
        return Review::Rejected { reason: error.unwrap_or_else(|| "no reason given".into()) };
    }
    let user = user.unwrap_or_default();
    let extra = user.extra.unwrap_or_default();
    // A list of one, if the token is bound to a pod.
    let one = |key: &str| match extra.get(key).map(Vec::as_slice) {
        Some([value]) => Some(value.clone()),
        _ => None,
    };
    let pod = one(POD_NAME).zip(one(POD_UID)).map(|(name, uid)| PodRef { name, uid });
    Review::Authenticated(TokenUser {
        username: user.username.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        audiences: audiences.unwrap_or_default(),
        pod,
    })
}
