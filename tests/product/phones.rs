//! Phones of another make (baresip, with libopus, spandsp, libsrtp and OpenSSL), which do not use loopback, and the gateway that
//! they call: each on a host of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use trunkline_caller::spoken;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::hosts::{Host, SIP_PORT, SIPS_PORT};
use trunkline_tests::objects;
use trunkline_tests::process::Process;
use trunkline_tests::wav::{Wav, level_dbfs};

/// Where a phone takes orders, on its own host.
const ORDERS: u16 = 4444;

/// What its user says: a word again and again, because the greeting may last a while on a busy machine.
pub(crate) fn says_goodbye(scratch: &Path) -> PathBuf {
    let word = spoken("slt", "goodbye").unwrap();
    let mut speech = vec![0; 14 * 8000];
    for _ in 0..6 {
        speech.extend_from_slice(&word);
        speech.resize(speech.len() + 4 * 8000, 0);
    }
    let voice = scratch.join("caller.wav");
    Wav::write_mono(&voice, 8000, &speech).unwrap();
    voice
}

/// A gateway on a host of its own, whose one trunk is the other host.
pub(crate) fn gateway(folder: &Path, host: &Host, peer: &Host) -> Process {
    let greeting = "Good morning. Say goodbye when you have heard enough of me.";
    let text = objects::answering(&objects::offline_agent(greeting)).unwrap();
    let [narrow, wide] = [r#"["PCMU", "PCMA"]"#, r#"["opus", "G722", "L16/16000", "PCMU", "PCMA"]"#];
    let peers = [r#"["127.0.0.1"]"#.to_owned(), format!(r#"["{}"]"#, peer.address)];
    assert!(text.contains(narrow) && text.contains(&peers[0]), "the rig's trunk is another than before:\n{text}");
    fs::create_dir_all(folder.join("objects")).unwrap();
    fs::write(folder.join("objects/objects.toml"), text.replace(narrow, wide).replace(&peers[0], &peers[1])).unwrap();
    let address = host.address.to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([address.clone()]).unwrap().self_signed(&key).unwrap();
    let [cert, key_file] = ["sip.pem", "sip.key"].map(|name| folder.join(name));
    fs::write(&cert, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let options = Options::default()
        .with("TRUNKLINE_SIP__TLS__CERT", &cert.display().to_string())
        .with("TRUNKLINE_SIP__TLS__KEY", &key_file.display().to_string())
        .with("TRUNKLINE_SIP__LISTENERS__PHONES__TRANSPORT", "tls")
        .with("TRUNKLINE_SIP__LISTENERS__PHONES__LISTEN", &format!("{address}:{SIPS_PORT}"))
        .with("TRUNKLINE_OBJECTS__DIR", &folder.join("objects").display().to_string())
        .with("TRUNKLINE_SIP__LISTEN", &format!("{address}:{SIP_PORT}"))
        .with("TRUNKLINE_SIP__ADVERTISE", &address)
        .with("TRUNKLINE_RTP__BIND", &address)
        .with("TRUNKLINE_RTP__ADVERTISE", &address);
    let mut run = Gateway::command_in(folder, &options).unwrap();
    run.arg("run");
    let mut there = host.command(run.get_program());
    there.args(run.get_args()).envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = Process::start("gateway", folder, &mut there).unwrap();
    let endpoints = folder.join("state/endpoints.json");
    process.await_sign("the gateway's endpoints", Duration::from_secs(90), |_| fs::metadata(&endpoints).ok()).unwrap();
    process
}

/// A phone that calls.
pub(crate) struct Phone<'a> {
    pub(crate) process: Process,
    folder: PathBuf,
    host: &'a Host,
}

impl<'a> Phone<'a> {
    /// Starts it; it calls `target` at once, with a transport, a codec by its name for it, and an encryption of its media.
    pub(crate) fn call(
        folder: &Path,
        voice: &Path,
        (transport, codec, encryption): (&str, &str, &str),
        host: &'a Host,
        target: &str,
    ) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (address, dump, voice) = (host.address, folder.display(), voice.display());
        let config = format!(
            "module_path /usr/lib/baresip/modules\nsip_listen {address}:{SIP_PORT}\nsip_verify_server no\n\
             net_interface cable\naudio_source aufile,{voice}\naudio_player aufile,{dump}/played.wav\naudio_alert none\n\
             ausrc_srate 8000\nausrc_channels 1\nauplay_channels 1\nsnd_path {dump}\nctrl_tcp_listen 127.0.0.1:{ORDERS}\n\
             module stdio.so\nmodule g711.so\nmodule g722.so\nmodule opus.so\nmodule l16.so\nmodule aufile.so\n\
             module sndfile.so\nmodule srtp.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             module_app rtcpsummary.so\n"
        );
        let encryption = if encryption.is_empty() { String::new() } else { format!(";mediaenc={encryption}") };
        let account =
            format!("<sip:phone@{address};transport={transport}>;regint=0{encryption};audio_codecs={codec}\n");
        fs::write(folder.join("config"), config).unwrap();
        fs::write(folder.join("accounts"), account).unwrap();
        fs::write(folder.join("contacts"), "").unwrap();
        let mut baresip = host.command("baresip");
        let dial = format!("/dial {target};transport={transport}");
        baresip.arg("-f").arg(folder).args(["-v", "-e", &dial, "-t", "90"]);
        let process = Process::start("baresip", folder, &mut baresip).unwrap();
        Self { process, folder: folder.to_owned(), host }
    }

    /// Has it do something: `hold`, `resume`.
    pub(crate) fn order(&self, command: &str) {
        let order = format!("{{\"command\":\"{command}\"}}");
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{ORDERS} && printf '%s:%s,' {} '{order}' >&3 && head -c 1 <&3",
            order.len()
        );
        let output = self.host.command("bash").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}: {output:?}\n{}", self.process.log());
    }

    /// Whether its call is over.
    pub(crate) fn is_done(&self) -> bool {
        let log = self.process.log();
        ["session closed", "terminated (duration"].iter().any(|sign| log.contains(sign))
    }

    /// Puts it away, with what it wrote down complete.
    pub(crate) fn finish(&mut self) {
        self.process.stop(Duration::from_secs(20)).unwrap();
    }

    /// Milliseconds of sound that it has written down so far. It writes no more of it once it has put its far end on hold.
    pub(crate) fn written_ms(&self) -> usize {
        let file = self.received().and_then(|file| fs::metadata(file).ok());
        file.map_or(0, |file| usize::try_from(file.len()).unwrap() / 16)
    }

    /// For how many milliseconds of those the far end was audible.
    pub(crate) fn heard_ms(&self) -> usize {
        let heard = Wav::read(&self.received().unwrap()).unwrap();
        let frame = heard.rate as usize / 50;
        heard.channels[0].chunks(frame).filter(|frame| level_dbfs(frame) > -40.0).count() * 20
    }

    /// Packets of sound that it took and that were missing, those that it could not decrypt among them, once its call is over.
    pub(crate) fn packets(&self) -> (usize, usize) {
        let log = self.process.log();
        let count = |name: &str| {
            let (_, after) = log.split_once(name)?;
            after.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
        };
        count(";PR=").zip(count(";PL=")).unwrap_or_else(|| panic!("no counts in\n{log}"))
    }

    fn received(&self) -> Option<PathBuf> {
        let mut files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.to_string_lossy().ends_with("-dec.wav"))
    }
}

/// How long a call may take: 60 s.
pub(crate) const CALL: Duration = Duration::from_secs(60);
