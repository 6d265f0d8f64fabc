//! The shell: a TCP listener, a task for each connection, and the clock.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::connection::{Connection, Event, Failed};
use crate::{Arrival, Door, Stats};

/// Time between two looks at what the leg says.
const TICK: Duration = Duration::from_millis(20);
/// Bytes read between two ticks, eight times what 20 ms at the highest rate take: whoever sends faster waits.
const READ: usize = 16 * 1024;
/// What the system may hold of what is said: little, because an interruption does not reach it.
const SEND_BUFFER: usize = 16 * 1024;
/// Connections that have not become a call yet, at once.
const UNNAMED: usize = 64;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the listener rests when the system gives no socket.
const REST: Duration = Duration::from_millis(100);

/// Takes connections, at most `most` at once, for as long as it is polled. Whoever `door` does not know is closed unread.
pub async fn serve(listener: TcpListener, most: usize, door: Arc<dyn Door>, stats: Arc<Stats>) {
    let (places, unnamed) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(UNNAMED)));
    loop {
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an AudioSocket connection could not be taken");
                sleep(REST).await;
                continue;
            }
        };
        let room =
            || Some((Arc::clone(&places).try_acquire_owned().ok()?, Arc::clone(&unnamed).try_acquire_owned().ok()?));
        let Some((place, early)) = Some(source.ip().to_canonical()).filter(|ip| door.knows(*ip)).and_then(|_| room())
        else {
            count(&stats.refused, 1);
            continue;
        };
        count(&stats.connections, 1);
        let (door, stats) = (Arc::clone(&door), Arc::clone(&stats));
        tokio::spawn(async move {
            match converse(stream, &*door, source.ip().to_canonical(), &stats, early).await {
                Ok(()) => {}
                Err(Over::Failed(why)) => {
                    count(&stats.failed, 1);
                    tracing::warn!(%source, "AudioSocket connection closed: {why}");
                }
                Err(Over::Socket(error)) => tracing::debug!(%source, %error, "AudioSocket connection broke"),
            }
            drop(place);
        });
    }
}

enum Over {
    Failed(Failed),
    Socket(io::Error),
}

impl From<Failed> for Over {
    fn from(why: Failed) -> Self {
        Self::Failed(why)
    }
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// One connection to its end. Dropping it ends its leg.
async fn converse(
    stream: TcpStream,
    door: &dyn Door,
    source: IpAddr,
    stats: &Stats,
    early: OwnedSemaphorePermit,
) -> Result<(), Over> {
    // Each 20 ms of sound leave when they are said.
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER).map_err(io::Error::from)?;
    let (mut reader, mut writer) = stream.into_split();
    let (opened, mut connection) = (Instant::now(), Connection::default());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut buffer, mut out) = (vec![0; READ], Vec::new());
    let (mut early, mut budget) = (Some(early), READ);
    let mut enter = |event: Event| {
        if let Event::Call { name, end } = event {
            early = None;
            door.enter(Arrival { source, name, end });
        }
    };
    while !connection.is_over() {
        tokio::select! {
            read = reader.read(&mut buffer[..budget]), if budget > 0 => {
                let read = read?;
                budget -= read;
                if read == 0 {
                    return Ok(());
                }
                connection.handle_bytes(opened.elapsed(), &buffer[..read])?.into_iter().for_each(&mut enter);
                count(&stats.frames_dropped, connection.take_dropped());
            }
            _ = tick.tick() => {
                budget = READ;
                connection.handle_timeout(opened.elapsed(), &mut out)?.into_iter().for_each(&mut enter);
            }
            written = writer.write(&out), if !out.is_empty() => drop(out.drain(..written?)),
        }
    }
    // What was said last, and the hang-up.
    let _ = timeout(FAREWELL, async {
        writer.write_all(&out).await?;
        writer.shutdown().await
    })
    .await;
    Ok(())
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
