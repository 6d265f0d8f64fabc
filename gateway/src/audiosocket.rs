//! AudioSocket: a listener for calls that Asterisk sends as sound over TCP, when one is configured.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use trunkline_media::StreamLink;
use trunkline_runtime::{Runtime, StreamCall};
use trunkline_ws::{Arrival, Door, Stats};

use crate::config::Config;

/// A listener at work.
pub(crate) struct AudioSocket {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Arc<Stats>,
}

/// The way to the runtime, for as long as there is one.
struct Entrance(Weak<Runtime>);

impl Door for Entrance {
    fn knows(&self, source: IpAddr) -> bool {
        self.0.upgrade().is_some_and(|runtime| runtime.knows(source))
    }

    fn enter(&self, arrival: Arrival) {
        let Arrival { source, name, end } = arrival;
        let (Some(runtime), Some(link)) = (self.0.upgrade(), StreamLink::new(end)) else { return };
        // Asterisk tells nothing of the caller; the UUID is what its dialplan chose.
        let call = StreamCall { source, called: name, calling: String::new(), link };
        if let Err(error) = runtime.stream_call(call) {
            tracing::warn!(%source, "an AudioSocket call was refused: {error}");
        }
    }
}

/// Starts it; `None` when no address is configured.
pub(crate) fn start(config: &Config, runtime: &Arc<Runtime>, tokio: &Handle) -> anyhow::Result<Option<AudioSocket>> {
    let Some(listen) = config.audiosocket.listen else { return Ok(None) };
    let listener = tokio
        .block_on(TcpListener::bind(listen))
        .with_context(|| format!("audiosocket.listen {listen}: is the port taken, or the address another host's?"))?;
    let (address, stats) = (listener.local_addr()?, Arc::<Stats>::default());
    let most = usize::try_from(config.limits.max_calls).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS);
    let door = Arc::new(Entrance(Arc::downgrade(runtime)));
    tokio.spawn(trunkline_ws::serve(listener, most, door, Arc::clone(&stats)));
    tracing::info!(%address, "AudioSocket is served");
    Ok(Some(AudioSocket { address, stats }))
}
