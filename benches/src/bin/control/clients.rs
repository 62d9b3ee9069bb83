//! Proxies without traffic: each follows the controller, answers every push at once, and tells when it saw which mark.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ir::{Encoded, Key, Kind};
use sluice_tests::proxy::{Access, Hello, Proxy, Shared, versions};
use tokio::sync::{mpsc, watch};

/// Pauses between attempts to connect, as a gateway makes them: full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// One push as one proxy saw it.
pub(super) struct Seen {
    /// Marks in its route groups.
    pub(super) marks: Vec<u64>,
    pub(super) at: Instant,
}

/// All proxies.
pub(super) struct Crowd {
    pub(super) seen: mpsc::UnboundedReceiver<Seen>,
    /// Counts, for each life of a controller, the proxies that are in sync with it.
    in_sync: Arc<AtomicUsize>,
    pub(super) bytes: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
}

impl Crowd {
    /// Connects everybody. They come back by themselves when the controller dies.
    pub(super) fn start(accesses: Vec<(Access, Hello)>) -> Self {
        let (told, seen) = mpsc::unbounded_channel();
        let (in_sync, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::default());
        for (access, hello) in accesses {
            let (told, in_sync, bytes, shared) =
                (told.clone(), Arc::clone(&in_sync), Arc::clone(&bytes), Arc::clone(&shared));
            let one = One { access, hello, told, in_sync, bytes, shared };
            let mut stopped = stopped.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = one.live() => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        }
        Self { seen, in_sync, bytes, stop }
    }

    /// How many are in sync.
    pub(super) fn connected(&self) -> usize {
        self.in_sync.load(Ordering::Acquire)
    }

    /// Waits until so many are in sync; tells when.
    pub(super) async fn in_sync(&self, count: usize) -> Instant {
        while self.in_sync.load(Ordering::Acquire) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Instant::now()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

struct One {
    access: Access,
    hello: Hello,
    told: mpsc::UnboundedSender<Seen>,
    in_sync: Arc<AtomicUsize>,
    bytes: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl One {
    async fn live(self) {
        let mut resources = BTreeMap::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Proxy::begin_knowing(&self.access, self.hello.clone(), versions(&resources)).await;
            if let Ok(mut proxy) = begun {
                proxy.shared = Some(Arc::clone(&self.shared));
                proxy.resources = std::mem::take(&mut resources);
                let served = self.follow(&mut proxy).await;
                resources = std::mem::take(&mut proxy.resources);
                if served {
                    self.in_sync.fetch_sub(1, Ordering::AcqRel);
                    pause = FIRST_PAUSE;
                }
            }
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Whether anything came.
    async fn follow(&self, proxy: &mut Proxy) -> bool {
        let mut served = false;
        while let Ok(push) = proxy.next().await {
            let bytes: usize = push.changed.iter().map(|one| one.body.len()).sum();
            let marks = push.changed.iter().filter_map(mark).collect();
            let at = push.at;
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            proxy.ack(push).await;
            if !std::mem::replace(&mut served, true) {
                self.in_sync.fetch_add(1, Ordering::AcqRel);
            }
            if self.told.send(Seen { marks, at }).is_err() {
                break;
            }
        }
        served
    }
}

/// The mark in a route group.
fn mark(resource: &Encoded) -> Option<u64> {
    let Key { kind: Kind::RouteGroup, .. } = &resource.key else { return None };
    let text = std::str::from_utf8(&resource.body).ok()?;
    let after = text.split_once("x-mark")?.1;
    let digits: String = after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
