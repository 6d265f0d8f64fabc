//! A language model of one's own behind HTTP: it answers at once with what it is told to, keeps what it was asked, and can
//! be killed in the middle of a call.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use serde_json::{Value, json};

/// More of a request than this is none of a test's.
const LONGEST_BODY: usize = 4 << 20;

/// What the model answers.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Its words.
    pub text: String,
    /// A tool it calls behind them, with its arguments as JSON.
    pub tool: Option<(String, Value)>,
    /// It says nothing at all, until it is killed.
    pub hangs: bool,
    /// What it says it took: tokens read, of these from its cache, and written.
    pub tokens: (u64, u64, u64),
}

/// A server of the chat completions API on a port of its own.
pub struct Model {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Box<dyn Fn(&Value) -> Answer + Send + Sync>,
    asked: Mutex<Vec<Value>>,
    open: Mutex<Vec<TcpStream>>,
    dead: AtomicBool,
}

impl Model {
    /// Starts one that answers each request, the JSON of its body, with what `answer` says.
    pub fn start(answer: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            asked: Mutex::default(),
            open: Mutex::default(),
            dead: AtomicBool::new(false),
        });
        let serves = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("model".to_owned()).spawn(move || serves.serve(&listener))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// An entry of an agent's list of models that leads here.
    #[must_use]
    pub fn provider(&self) -> Value {
        json!({ "provider": "openai", "settings": {
            "base_url": format!("http://{}/v1", self.address), "model": "rig",
        } })
    }

    /// What a gateway must be started with for its plugins to reach these models.
    #[must_use]
    pub fn granted(models: &[&Self]) -> (&'static str, String) {
        let hosts: Vec<String> = models.iter().map(|model| format!("http://{}", model.address)).collect();
        ("TRUNKLINE_PLUGINS__GRANT_HOSTS", json!(hosts).to_string())
    }

    /// What it was asked so far: bodies of requests, oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills it: whoever is connected is cut off, whoever comes is refused.
    pub fn kill(&mut self) {
        self.shared.dead.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which goes with its thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.dead.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            if let Ok(again) = stream.try_clone() {
                self.open.lock().unwrap_or_else(PoisonError::into_inner).push(again);
            }
            let shared = Arc::clone(self);
            let serve = move || {
                // A gateway that hangs up in the middle of an answer has had enough of it.
                if !shared.answer_one(&stream).is_ok_and(|hangs| hangs) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            };
            let _ = std::thread::Builder::new().name("model-request".to_owned()).spawn(serve);
        }
    }

    /// True when the connection is to be left open.
    fn answer_one(&self, mut stream: &TcpStream) -> anyhow::Result<bool> {
        stream.set_nodelay(true)?;
        let request = read_body(BufReader::new(stream))?;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let answer = (self.answer)(&request);
        if answer.hangs {
            return Ok(true);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("{head}{}", answer.events()).as_bytes())?;
        Ok(false)
    }
}

impl Answer {
    /// As server-sent events: the words one by one, the tool, the reason, the counts.
    fn events(&self) -> String {
        let choice = |delta: Value, reason: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
        let mut chunks: Vec<Value> =
            self.text.split_inclusive(' ').map(|word| choice(json!({ "content": word }), Value::Null)).collect();
        if let Some((name, arguments)) = &self.tool {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            let call = json!({ "index": 0, "id": "call_rig", "type": "function", "function": function });
            chunks.push(choice(json!({ "tool_calls": [call] }), Value::Null));
        }
        let reason = if self.tool.is_some() { "tool_calls" } else { "stop" };
        chunks.push(choice(json!({}), reason.into()));
        let (read, cached, written) = self.tokens;
        chunks.push(json!({ "choices": [], "usage": {
            "prompt_tokens": read, "completion_tokens": written, "prompt_tokens_details": { "cached_tokens": cached },
        } }));
        let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        events + "data: [DONE]\n\n"
    }
}

fn read_body(mut stream: BufReader<&TcpStream>) -> anyhow::Result<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        anyhow::ensure!(stream.read_line(&mut line)? > 0, "the request has no end");
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let length = length.filter(|length| *length <= LONGEST_BODY).context("a request whose length is not told")?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
