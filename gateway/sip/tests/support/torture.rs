//! Messages after RFC 4475's descriptions, each with what it is made to try and what a user agent server that serves calls
//! and nothing else makes of it. The topmost Via names this side's own UDP socket, so that answers come back; whatever the
//! RFC says of the rest of a message is kept.

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is valid and served, or refused for what it asks and not for how it is written.
    Served(u16),
    /// It is not valid, and the answer says so.
    Refused(u16),
    /// It is a response to nothing, or cannot be answered; it is counted under this name.
    Dropped(&'static str),
}

/// A message.
#[derive(Debug)]
pub(crate) struct Torture {
    /// The RFC's name for it.
    pub(crate) name: &'static str,
    /// Its section.
    pub(crate) section: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) text: String,
}

use Outcome::{Dropped, Refused, Served};

const SDP: &str = "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
                   m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n";

/// The catalogue. `port` is that of the sender on 127.0.0.1, `n` makes the messages of one round different from those of
/// the next.
pub(crate) fn catalogue(port: u16, n: usize) -> Vec<Torture> {
    let here = format!("SIP/2.0/UDP 127.0.0.1:{port}");
    let via = format!("Via: {here};branch=z9hG4bK{n}");
    let mut all = Vec::new();
    let mut add = |section, name, outcome, text: String| all.push(Torture { name, section, outcome, text });
    // A plain request, of which the invalid ones are variations.
    let plain = |method: &str, uri: &str, call: &str| {
        format!(
            "{method} {uri} SIP/2.0\r\n{via}{call}\r\nMax-Forwards: 70\r\nFrom: <sip:caller@example.net>;tag=f{call}{n}\r\n\
             To: <sip:callee@example.com>\r\nCall-ID: {call}.{n}\r\nCSeq: 8 {method}\r\n\
             Contact: <sip:caller@127.0.0.1:{port}>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let described = |text: String, headers: &str, body: &str| {
        let body_headers = format!("{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        text.replace("Content-Length: 0\r\n\r\n", &body_headers)
    };
    let invite =
        |call: &str| described(plain("INVITE", "sip:user@example.com", call), "Content-Type: application/sdp\r\n", SDP);

    // 3.1.1: valid messages.
    let long_sdp = SDP.len();
    add(
        "3.1.1.1",
        "wsinv",
        Served(481),
        format!(
            "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:vivekg@chair-dnrc.example.com ;   \
         tag    = 1918181833n\r\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.{n}.ndaksdj@192.0.2.1\r\nContent-Length   : {long_sdp}\r\ncseq: 0009\r\n  INVITE\r\n\
         Via  : SIP  /   2.0\r\n /UDP\r\n    127.0.0.1:{port};branch=390skdjuw{n}\r\ns :\r\nNewFangledHeader:   newfangled value\r\n \
         continued newfangled value\r\nUnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n\
         Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\nv:  SIP  / 2.0  / TCP     \
         spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n \
         z9hG4bK30239\r\nm:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n{SDP}"
        ),
    );
    add(
        "3.1.1.2",
        "intmeth",
        Served(501),
        format!(
            "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n\
         Via: {here};branch=z9hG4bK-.!%66*_+`'~{n}\r\nTo: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\r\n\
         From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{44e}\u{449}\u{438}\u{439}\";tag=_token~1'+`*%!-.\r\n\
         Call-ID: intmeth.{n}.word%ZK-!.*_+'@word`~)(><:\\/\"][?}}{{\r\nCSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\nMax-Forwards: 255\r\n\
         extensionHeader-!.%*+_`'~:\u{5927}\u{505c}\u{96fb}\r\nContent-Length: 0\r\n\r\n"
        ),
    );
    add(
        "3.1.1.3",
        "esc01",
        Served(200),
        described(
            plain("INVITE", "sip:sips%3Auser%40example.com@example.net", "esc01")
                .replace("<sip:caller@example.net>", "\"I have spaces\" <sip:I%20have%20spaces@example.net>")
                .replace(
                    &format!("<sip:caller@127.0.0.1:{port}>"),
                    &format!("<sip:cal%6Cer@127.0.0.1:{port};%6C%72;n%61me=v%61lue%25%34%31>"),
                ),
            "Content-Type: application/sdp\r\n",
            SDP,
        ),
    );
    add(
        "3.1.1.4",
        "escnull",
        Served(405),
        plain("REGISTER", "sip:example.com", "escnull")
            .replace("sip:caller@example.net", "sip:null-%00-null@example.com")
            .replace("sip:callee@example.com", "sip:null-%00-null@example.com")
            .replace("Contact:", "Contact: <sip:%00@host5.example.com>\r\nContact:"),
    );
    add("3.1.1.5", "esc02", Served(501), plain("RE%47IST%45R", "sip:registrar.example.com", "esc02"));
    add(
        "3.1.1.6",
        "lwsdisp",
        Served(200),
        plain("OPTIONS", "sip:user@example.com", "lwsdisp").replace("From: <sip", "From: caller<sip"),
    );
    let name = |word: &str, times: usize| word.repeat(times);
    let vias: String = (1..=33)
        .rev()
        .map(|hop| {
            let spelled = ["v", "V", "Via", "ViA", "VIA", "via"][hop % 6];
            format!("{spelled}: SIP/2.0/TCP sip{hop}.example.com\r\n")
        })
        .collect();
    add(
        "3.1.1.7",
        "longreq",
        Served(200),
        format!(
            "INVITE sip:user@example.com SIP/2.0\r\nTo: \"I have a user name of {extreme}proportion\"<sip:user@example.com:6000;unknownparam1=very{long}value;long{param}name=shortvalue;very{long}ParameterNameWithNoValue>\r\n\
         F: sip:amazinglylongcallername{long}@example.net;tag=12982{digits}424;unknownheaderparam{value}={value};unknownValuelessparam{value}\r\n\
         Call-ID: longreq.{n}.one{really}longcallid\r\nCSeq: 3882340 INVITE\r\nUnknown-{long}-Name: unknown-{long}-value; unknown-{long}-parameter-name = unknown-{long}-parameter-value\r\n\
         Via: {here};branch=z9hG4bKlongreq{n}\r\n{vias}V: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{long}branchvalue\r\n\
         Max-Forwards: 70\r\nContact: <sip:amazinglylongcallername{long}@127.0.0.1:{port}>\r\nContent-Type: application/sdp\r\nl: {length}\r\n\r\n{SDP}",
            extreme = name("extreme", 10),
            long = name("long", 40),
            param = name("param", 20),
            value = name("value", 20),
            really = name("really", 20),
            digits = name("982", 50),
            length = SDP.len(),
        ),
    );
    add("3.1.1.8", "dblreq", Served(405), plain("REGISTER", "sip:example.com", "dblreq") + &invite("dblreq-behind"));
    add("3.1.1.9", "semiuri", Served(200), plain("OPTIONS", "sip:user;par=u%40example.net@example.com", "semiuri"));
    add("3.1.1.10", "transports", Served(200), plain("OPTIONS", "sip:user@example.com", "transports").replace("Max-Forwards",
        "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\r\nVia: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj\r\n\
         Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\r\nVia: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee\r\nMax-Forwards"));
    let mixed = "--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n\u{1}\u{2}\0\u{7f}\r\n--7a9cbec02ceef655--\r\n";
    add(
        "3.1.1.11",
        "mpart01",
        Served(405),
        described(
            plain("MESSAGE", "sip:kumiko@example.org", "mpart01"),
            "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\n",
            mixed,
        ),
    );
    let response = |line: &str, call: &str| plain("INVITE", "sip:x", call).replace("INVITE sip:x SIP/2.0", line);
    add(
        "3.1.1.12",
        "unreason",
        Dropped("stray_response"),
        response(
            "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} \u{434}\u{435}\u{432}\u{44f}\u{43d}\u{43e}\u{441}\u{442}\u{43e}",
            "unreason",
        ),
    );
    add("3.1.1.13", "noreason", Dropped("stray_response"), response("SIP/2.0 100 ", "noreason"));

    // 3.1.2: messages that are not valid.
    add(
        "3.1.2.1",
        "badinv01",
        Refused(400),
        invite("badinv01")
            .replace(&format!("{here};branch=z9hG4bK{n}badinv01"), &format!("{here};;,;,,"))
            .replace("Contact: ", "Contact: \"Joe\" ")
            .replace(":{port}>", ":{port}>;;;;"),
    );
    add(
        "3.1.2.2",
        "clerr",
        Refused(400),
        plain("INVITE", "sip:user@example.com", "clerr")
            .replace("Content-Length: 0", "Content-Type: application/sdp\r\nContent-Length: 9999"),
    );
    add(
        "3.1.2.3",
        "ncl",
        Refused(400),
        plain("INVITE", "sip:user@example.com", "ncl").replace("Content-Length: 0", "Content-Length: -999"),
    );
    add(
        "3.1.2.4",
        "scalar02",
        Refused(400),
        plain("REGISTER", "sip:example.com", "scalar02")
            .replace("CSeq: 8", "CSeq: 36893488147419103232")
            .replace("Forwards: 70", "Forwards: 300")
            .replace(
                "Contact:",
                "Expires: 10000000000\r\nContact: <sip:user@host129.example.com>;expires=280297596632815\r\nContact:",
            ),
    );
    add(
        "3.1.2.5",
        "scalarlg",
        Dropped("stray_response"),
        response("SIP/2.0 503 Service Unavailable", "scalarlg")
            .replace("CSeq: 8", "CSeq: 9292394834772304023312")
            .replace(
                "Contact:",
                "Retry-After: 949302838503028349304023988\r\nWarning: 1812 overture \"In Progress\"\r\nContact:",
            ),
    );
    add(
        "3.1.2.6",
        "quotbal",
        Refused(400),
        invite("quotbal").replace("To: <sip:callee@example.com>", "To: \"Mr. J. User <sip:j.user@example.com>"),
    );
    add(
        "3.1.2.7",
        "ltgtruri",
        Refused(400),
        invite("ltgtruri").replace("INVITE sip:user@example.com ", "INVITE <sip:user@example.com> "),
    );
    add(
        "3.1.2.8",
        "lwsruri",
        Refused(400),
        invite("lwsruri").replace("INVITE sip:user@example.com ", "INVITE sip:user@example.com; lr "),
    );
    add(
        "3.1.2.9",
        "lwsstart",
        Refused(400),
        invite("lwsstart").replace("INVITE sip:user@example.com ", "INVITE  sip:user@example.com  "),
    );
    add(
        "3.1.2.10",
        "trws",
        Refused(400),
        plain("OPTIONS", "sip:remote-target@example.com", "trws").replacen(" SIP/2.0\r\n", " SIP/2.0  \r\n", 1),
    );
    add(
        "3.1.2.11",
        "escruri",
        Refused(400),
        invite("escruri")
            .replace("INVITE sip:user@example.com ", "INVITE sip:user@example.com?Route=%3Csip:example.com%3E "),
    );
    // Whoever does not look at Date may serve it.
    add(
        "3.1.2.12",
        "baddate",
        Served(200),
        invite("baddate").replace("Contact:", "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nContact:"),
    );
    // The address is read by registrars.
    add(
        "3.1.2.13",
        "regbadct",
        Served(405),
        plain("REGISTER", "sip:example.com", "regbadct")
            .replace("Contact: ", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E, "),
    );
    // White space within the brackets and commas in a name that is not quoted may be put up with.
    add(
        "3.1.2.14",
        "badaspec",
        Served(200),
        plain("OPTIONS", "sip:user@example.org", "badaspec")
            .replace("To: <sip:callee@example.com>", "To: \"Watson, Thomas\" < sip:t.watson@example.org >"),
    );
    add(
        "3.1.2.15",
        "baddn",
        Served(200),
        plain("OPTIONS", "sip:t.watson@example.org", "baddn").replace("From: <sip", "From: Bell, Alexander <sip"),
    );
    add(
        "3.1.2.16",
        "badvers",
        Refused(505),
        plain("OPTIONS", "sip:t.watson@example.org", "badvers").replacen(" SIP/2.0\r\n", " SIP/7.0\r\n", 1).replacen(
            "Via: SIP/2.0",
            "Via: SIP/7.0",
            1,
        ),
    );
    add(
        "3.1.2.17",
        "mismatch01",
        Refused(400),
        plain("OPTIONS", "sip:user@example.com", "mismatch01").replace("CSeq: 8 OPTIONS", "CSeq: 8 INVITE"),
    );
    add(
        "3.1.2.18",
        "mismatch02",
        Refused(501),
        plain("NEWMETHOD", "sip:user@example.com", "mismatch02").replace("CSeq: 8 NEWMETHOD", "CSeq: 8 INVITE"),
    );
    add(
        "3.1.2.19",
        "bigcode",
        Dropped("stray_response"),
        response("SIP/2.0 4294967301 better not break the receiver", "bigcode"),
    );

    // 3.2 to 3.4: transactions, applications, and what came before.
    add(
        "3.2.1",
        "badbranch",
        Refused(400),
        plain("OPTIONS", "sip:user@example.com", "badbranch").replace(&format!("z9hG4bK{n}badbranch"), "z9hG4bK"),
    );
    // An answer is made of the headers that are missing.
    add(
        "3.3.1",
        "insuf",
        Dropped("malformed"),
        format!(
            "INVITE sip:user@example.com SIP/2.0\r\nMax-Forwards: 70\r\nCSeq: 193942 INVITE\r\n{via}insuf\r\nContent-Type: application/sdp\r\nl: {}\r\n\r\n{SDP}",
            SDP.len()
        ),
    );
    add("3.3.2", "unkscm", Refused(416), plain("OPTIONS", "nobodyKnowsThisScheme:totallyopaquecontent", "unkscm"));
    add("3.3.3", "novelsc", Refused(416), plain("OPTIONS", "soap.beep://192.0.2.103:3002", "novelsc"));
    add(
        "3.3.4",
        "unksm2",
        Served(405),
        plain("REGISTER", "sip:example.com", "unksm2")
            .replace("<sip:callee@example.com>", "isbn:2983792873")
            .replace("<sip:caller@example.net>", "<http://www.example.com>"),
    );
    add("3.3.5", "bext01", Served(420), plain("OPTIONS", "sip:user@example.com", "bext01").replace("Contact:", "Require: nothingSupportsThis, nothingSupportsThisEither\r\nProxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\nContact:"));
    add(
        "3.3.6",
        "invut",
        Served(415),
        described(
            plain("INVITE", "sip:user@example.com", "invut"),
            "Content-Type: application/unknownformat\r\n",
            "<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n",
        ),
    );
    add(
        "3.3.7",
        "regaut01",
        Served(405),
        plain("REGISTER", "sip:example.com", "regaut01")
            .replace("Contact:", "Authorization: NoOneKnowsThisScheme opaque-data=here\r\nContact:"),
    );
    add("3.3.8", "multi01", Refused(400), invite("multi01").replace("CSeq: 8 INVITE\r\n", &format!("CSeq: 8 INVITE\r\nCall-ID: multi01b.{n}\r\nCSeq: 59 INVITE\r\nMax-Forwards: 5\r\nFrom: <sip:other@example.net>;tag=x\r\nTo: sip:other@example.com\r\n")));
    add("3.3.9", "mcl01", Refused(400), plain("OPTIONS", "sip:user@example.com", "mcl01").replace("Content-Length: 0\r\n\r\n", "Content-Length: 13\r\nContent-Length: 5\r\n\r\nThere's no way to know how many octets are supposed to be here.\r\n"));
    add(
        "3.3.10",
        "bcast",
        Dropped("stray_response"),
        response("SIP/2.0 200 OK", "bcast")
            .replace("Max-Forwards: 70\r\n", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\r\n"),
    );
    // It is addressed to us, so that it need not go further.
    add(
        "3.3.11",
        "zeromf",
        Served(200),
        plain("OPTIONS", "sip:user@example.com", "zeromf").replace("Forwards: 70", "Forwards: 0"),
    );
    add(
        "3.3.12",
        "cparam01",
        Served(405),
        plain("REGISTER", "sip:example.com", "cparam01")
            .replace("Contact: ", "Contact: sip:+19725552222@gw1.example.net;unknownparam, "),
    );
    add(
        "3.3.13",
        "cparam02",
        Served(405),
        plain("REGISTER", "sip:example.com", "cparam02")
            .replace("Contact: ", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>, "),
    );
    add(
        "3.3.14",
        "regescrt",
        Served(405),
        plain("REGISTER", "sip:example.com", "regescrt")
            .replace("Contact: ", "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>, "),
    );
    add(
        "3.3.15",
        "sdp01",
        Served(406),
        invite("sdp01").replace("Contact:", "Accept: text/nobodyKnowsThis\r\nContact:"),
    );
    // Valid, and not served: see the list in the test.
    add(
        "3.4.1",
        "inv2543",
        Served(200),
        format!(
            "INVITE sip:UserB@example.com SIP/2.0\r\nVia: {here}\r\nFrom: <sip:+13035551111@ift.client.example.net;user=phone>\r\n\
         Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>\r\nTo: sip:+16505552222@ss1.example.net;user=phone\r\n\
         Call-ID: inv2543.{n}.1717@ift.client.example.com\r\nCSeq: 56 INVITE\r\nContent-Type: application/sdp\r\n\r\n{SDP}"
        ),
    );
    all
}
