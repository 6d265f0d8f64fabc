//! active-call, whose agent is a program outside that it tells of each call and sends the sound to: here one that
//! accepts every call and sends the sound back.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, connect_async};
use trunkline_load::pin;
use trunkline_tests::ports;
use trunkline_tests::process::{Process, from_environment};

use super::{LOOPBACK, Served};
use crate::load::Ground;

const NAME: &str = "active-call";

/// Installs the program beside our own, as its makers say, unless an earlier run did.
pub(super) fn install() -> anyhow::Result<PathBuf> {
    let bin = from_environment("TRUNKLINE_BIN")?;
    let folder = bin.ancestors().nth(2).context("TRUNKLINE_BIN is not in a target folder")?.join("peers");
    let program = folder.join("bin").join(NAME);
    if !program.exists() {
        println!("installing {NAME}, which takes minutes");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["install", NAME, "--no-default-features", "--quiet", "--root"]).arg(&folder);
        cargo.env("CARGO_TARGET_DIR", folder.join("build"));
        let status = cargo.status().context("cargo install")?;
        ensure!(status.success(), "`cargo install {NAME} --no-default-features` ended with {status}");
    }
    Ok(program)
}

/// Starts it, and the program that it asks.
pub(super) fn start(ground: &Ground, scratch: &Path) -> anyhow::Result<Served> {
    let program = install()?;
    let (sip, http) = (ports::free_range(2)?, ports::free_range(2)?);
    let rtp = ports::free_range(u16::try_from(2 * ground.calls + 40)?)?;
    let agent = Agent::start(ground.ours, SocketAddr::new(LOOPBACK, http))?;
    let config = format!(
        "addr = \"127.0.0.1\"\nhttp_addr = \"127.0.0.1:{http}\"\nudp_port = {sip}\nlog_level = \"error\"\n\
         rtp_bind_ip = \"127.0.0.1\"\nexternal_ip = \"127.0.0.1\"\nrtp_start_port = {rtp}\nrtp_end_port = {}\n\
         media_cache_path = \"cache\"\ncodecs = [\"pcmu\"]\n\n[handler]\ntype = \"webhook\"\n\
         url = \"http://{}/invite\"\nmethod = \"POST\"\n",
        usize::from(rtp) + 2 * ground.calls + 38,
        agent.webhook
    );
    let file = scratch.join("active-call.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.current_dir(scratch).arg("--conf").arg(&file);
    let process = Process::start(NAME, scratch, &mut command)?;
    trunkline_tests::wait::until_true("active-call to listen", Duration::from_secs(20), || {
        std::net::TcpStream::connect((LOOPBACK, http)).is_ok()
    })?;
    Ok(Served { sip: SocketAddr::new(LOOPBACK, sip), process, _beside: Some(Box::new(agent)) })
}

/// The program outside: a webhook that accepts, and a WebSocket server that sends back.
struct Agent {
    webhook: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Accepting {
    /// Where active-call takes orders.
    orders: SocketAddr,
    /// Where it is to send the sound.
    media: SocketAddr,
}

impl Agent {
    fn start(core: usize, orders: SocketAddr) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || {
                let _ = pin(&[core]);
            })
            .enable_all()
            .build()?;
        let (hook, media) = runtime.block_on(async {
            anyhow::Ok((TcpListener::bind((LOOPBACK, 0)).await?, TcpListener::bind((LOOPBACK, 0)).await?))
        })?;
        let (webhook, accepting) = (hook.local_addr()?, Accepting { orders, media: media.local_addr()? });
        runtime.spawn(async move {
            let routes = Router::new().route("/invite", post(invited)).with_state(accepting);
            axum::serve(hook, routes).await
        });
        runtime.spawn(async move {
            while let Ok((stream, _)) = media.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let Ok(mut socket) = accept_async(stream).await else { return };
                    while let Some(Ok(message)) = socket.next().await {
                        if message.is_binary() && socket.send(message).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { webhook, _runtime: runtime })
    }
}

async fn invited(State(accepting): State<Accepting>, Json(invite): Json<Value>) -> StatusCode {
    let Some(id) = invite["dialogId"].as_str().map(str::to_owned) else { return StatusCode::BAD_REQUEST };
    tokio::spawn(async move {
        let orders = format!("ws://{}/call/sip?id={id}&dump_events=false", accepting.orders);
        let Ok((mut socket, _)) = connect_async(orders).await else { return };
        // Its own packets and pace on both ways, so that it adds no buffer of 100 ms to the delay.
        let sound = json!({
            "url": format!("ws://{}/", accepting.media),
            "inputSampleRate": 8000, "outputSampleRate": 8000, "packetSize": 320, "ptime": 20,
        });
        let accept = json!({ "command": "accept", "option": { "codec": "pcmu", "mediaPass": sound } });
        if socket.send(Message::text(accept.to_string())).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    StatusCode::OK
}
