//! Session timers (RFC 4028): a call whose far end has gone without a word ends, though no BYE ever comes. Pure: time is an
//! argument, in milliseconds from any beginning; headers go in and come out as their values.

/// The shortest interval that the standard allows, in seconds (RFC 4028 4).
pub(crate) const LEAST_S: u32 = 90;
/// How long before its end a session that nobody refreshed is hung up: this, or a third of it (RFC 4028 10).
const BEFORE_MS: u64 = 32_000;
/// How soon a refresh that failed, but not for ever, is tried again.
const AGAIN_MS: u64 = 5000;

/// What we want of sessions, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The interval where the far end leaves it to us; 0 asks for none.
    pub(crate) expires_s: u32,
    /// The shortest interval that is agreed to.
    pub(crate) least_s: u32,
}

/// What a request that refreshes a session says: INVITE, re-INVITE or UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked<'a> {
    /// The value of Session-Expires.
    pub(crate) session_expires: Option<&'a str>,
    /// The value of Min-SE.
    pub(crate) min_se: Option<&'a str>,
    /// Whether Supported or Require names `timer`.
    pub(crate) is_supported: bool,
    /// Whether the far end takes UPDATE, by which we would refresh.
    pub(crate) takes_update: bool,
}

/// What our 2xx says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Granted {
    /// The value of Session-Expires; nothing without a timer.
    pub(crate) session_expires: Option<String>,
    /// Whether it requires `timer`.
    pub(crate) is_required: bool,
}

/// An interval that is too short: 422, with what we take at least in Min-SE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooShort {
    pub(crate) min_se_s: u32,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send an UPDATE.
    Refresh,
    /// The session has ended: BYE.
    Expired,
}

/// The timer of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    wanted: Wanted,
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    interval_s: u32,
    /// Whether we refresh.
    ours: bool,
    /// When the session ends unless it is refreshed.
    ends_ms: u64,
    /// When we refresh next; nothing while a refresh is under way, or when the far end does it.
    refresh_ms: Option<u64>,
}

impl Running {
    fn begin(interval_s: u32, ours: bool, now_ms: u64) -> Self {
        let interval_ms = u64::from(interval_s) * 1000;
        Self {
            interval_s,
            ours,
            ends_ms: now_ms + interval_ms - BEFORE_MS.min(interval_ms / 3),
            refresh_ms: ours.then_some(now_ms + interval_ms / 2),
        }
    }
}

impl SessionTimer {
    /// A session without a timer.
    pub(crate) const fn new(wanted: Wanted) -> Self {
        Self { wanted, running: None }
    }

    /// Whether a request may be granted, and what its 2xx says. Nothing is in force before [`SessionTimer::grant`].
    pub(crate) fn consider(&self, asked: &Asked<'_>) -> Result<Granted, TooShort> {
        let their_least_s = asked.min_se.and_then(seconds).unwrap_or(0);
        let (interval_s, refresher) = match asked.session_expires.map(|value| (seconds(value), refresher(value))) {
            Some((Some(interval_s), refresher)) => {
                if interval_s < self.wanted.least_s {
                    // One that knows no timers cannot mend it: a proxy asked, and gets none.
                    return if asked.is_supported {
                        Err(TooShort { min_se_s: self.wanted.least_s })
                    } else {
                        Ok(Granted::default())
                    };
                }
                (interval_s, refresher)
            }
            // What cannot be read asks for nothing.
            Some((None, _)) => return Ok(Granted::default()),
            None if asked.is_supported && self.wanted.expires_s > 0 => {
                (self.wanted.expires_s.max(self.wanted.least_s).max(their_least_s), None)
            }
            None => return Ok(Granted::default()),
        };
        // RFC 4028 table 2: who knows no timers does not refresh, and who names one gets it.
        let ours = match refresher {
            _ if !asked.is_supported => true,
            Some(Refresher::Uac) | None => false,
            Some(Refresher::Uas) => true,
        };
        if ours && !asked.takes_update {
            return Ok(Granted::default());
        }
        let name = if ours { "uas" } else { "uac" };
        Ok(Granted { session_expires: Some(format!("{interval_s};refresher={name}")), is_required: asked.is_supported })
    }

    /// A 2xx of ours with that in it was sent.
    pub(crate) fn grant(&mut self, granted: &Granted, now_ms: u64) {
        self.running = granted
            .session_expires
            .as_deref()
            .and_then(|value| Some(Running::begin(seconds(value)?, refresher(value) == Some(Refresher::Uas), now_ms)));
    }

    /// What an INVITE of ours says: the value of Session-Expires, `least_s` being the longest Min-SE that it was refused with.
    /// The far end is to refresh: by what it likes, which we need not know (RFC 4028 7.1).
    pub(crate) fn asking(&self, least_s: u32) -> Option<String> {
        let Wanted { expires_s, least_s: ours_s } = self.wanted;
        (expires_s > 0).then(|| format!("{};refresher=uas", expires_s.max(ours_s).max(least_s)))
    }

    /// An INVITE of ours was answered with 2xx and this Session-Expires.
    pub(crate) fn answered(&mut self, session_expires: Option<&str>, takes_update: bool, now_ms: u64) {
        self.refreshed(session_expires, now_ms);
        if !takes_update && self.running.is_some_and(|running| running.ours) {
            // It wants refreshes that it would refuse: the session goes on without a timer of ours.
            self.running = None;
        }
    }

    /// What a re-INVITE of ours says: the value of Session-Expires, under which whoever refreshes goes on to; a session
    /// without a timer gets none by it (RFC 4028 7.4).
    pub(crate) fn changing(&self) -> Option<String> {
        let name = |ours| if ours { "uac" } else { "uas" };
        self.running.map(|running| format!("{};refresher={}", running.interval_s, name(running.ours)))
    }

    /// The far end takes no interval below that, in seconds.
    pub(crate) fn raise(&mut self, least_s: u32) {
        if let Some(running) = &mut self.running {
            running.interval_s = running.interval_s.max(least_s);
        }
    }

    /// What our UPDATE says: the value of Session-Expires.
    pub(crate) fn refreshing(&self) -> Option<String> {
        self.running.map(|running| format!("{};refresher=uac", running.interval_s))
    }

    /// Our UPDATE was answered with 2xx, and this Session-Expires.
    pub(crate) fn refreshed(&mut self, session_expires: Option<&str>, now_ms: u64) {
        self.running = session_expires.and_then(|value| {
            // Shorter than anybody may ask for it would have us send without end.
            let interval_s = seconds(value)?.max(self.wanted.least_s);
            Some(Running::begin(interval_s, refresher(value) != Some(Refresher::Uas), now_ms))
        });
    }

    /// Our UPDATE was refused or not answered. 422 says in Min-SE what would do; 408 and 481 say that the session is over.
    pub(crate) fn failed(&mut self, status: u16, min_se: Option<&str>, now_ms: u64) -> Option<Due> {
        let running = self.running.as_mut()?;
        match status {
            408 | 481 => {
                self.running = None;
                Some(Due::Expired)
            }
            _ => {
                let again_ms = AGAIN_MS.min(u64::from(running.interval_s) * 1000 / 8);
                if let Some(least_s) = min_se.and_then(seconds).filter(|_| status == 422) {
                    running.interval_s = running.interval_s.max(least_s);
                }
                running.refresh_ms = Some(now_ms + again_ms);
                None
            }
        }
    }

    /// When it is to be looked at again.
    #[cfg(test)]
    fn poll_timeout(&self) -> Option<u64> {
        self.running.map(|running| running.refresh_ms.unwrap_or(u64::MAX).min(running.ends_ms))
    }

    /// What is due by now.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) -> Option<Due> {
        let running = self.running.as_mut()?;
        if now_ms >= running.ends_ms {
            self.running = None;
            return Some(Due::Expired);
        }
        if running.refresh_ms.is_some_and(|refresh_ms| now_ms >= refresh_ms) {
            running.refresh_ms = None;
            return Some(Due::Refresh);
        }
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresher {
    Uac,
    Uas,
}

/// Seconds at the beginning of a value; 0 is none.
fn seconds(value: &str) -> Option<u32> {
    let number = value.split(';').next()?.trim();
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    // What is longer than a year is for ever.
    const MOST_S: u64 = 31_536_000;
    let number = number.get(..number.len().min(12)).filter(|_| plain)?.parse::<u64>().ok()?.min(MOST_S);
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// Who is to refresh, by a value of Session-Expires.
fn refresher(value: &str) -> Option<Refresher> {
    let (_, named) = value
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"))?;
    match named.trim() {
        named if named.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
        named if named.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: Wanted = Wanted { expires_s: 1800, least_s: LEAST_S };

    fn consider(session_expires: Option<&str>, is_supported: bool) -> Result<Granted, TooShort> {
        let asked = Asked { session_expires, is_supported, takes_update: true, min_se: None };
        SessionTimer::new(WANTED).consider(&asked)
    }

    fn granted(value: &str, is_required: bool) -> Result<Granted, TooShort> {
        Ok(Granted { session_expires: Some(value.to_owned()), is_required })
    }

    #[test]
    fn who_refreshes_is_as_table_2_of_the_standard_says() {
        assert_eq!(consider(Some("1200"), false), granted("1200;refresher=uas", false));
        assert_eq!(consider(Some("1200"), true), granted("1200;refresher=uac", true));
        assert_eq!(consider(Some("1200;refresher=uac"), true), granted("1200;refresher=uac", true));
        assert_eq!(consider(Some("1200 ; Refresher = UAS"), true), granted("1200;refresher=uas", true));
        assert_eq!(consider(None, true), granted("1800;refresher=uac", true));
        assert_eq!(consider(None, false), Ok(Granted::default()), "nobody asked");
    }

    #[test]
    fn what_is_too_short_is_refused_with_what_would_do() {
        assert_eq!(consider(Some("89"), true), Err(TooShort { min_se_s: 90 }));
        assert_eq!(consider(Some("90"), true), granted("90;refresher=uac", true));
        assert_eq!(consider(Some("60"), false), Ok(Granted::default()), "a proxy asked for one that knows no 422");
        for unreadable in ["", "x", "-5", "0", ";refresher=uac", "1e3"] {
            assert_eq!(consider(Some(unreadable), true), Ok(Granted::default()), "{unreadable}");
        }
        assert_eq!(consider(Some("99999999999999999999"), true), granted("31536000;refresher=uac", true));
    }

    #[test]
    fn what_we_ask_for_is_not_below_what_the_far_end_takes() {
        let asked = Asked { min_se: Some("3600"), is_supported: true, takes_update: true, session_expires: None };
        assert_eq!(SessionTimer::new(WANTED).consider(&asked), granted("3600;refresher=uac", true));
        let none = SessionTimer::new(Wanted { expires_s: 0, ..WANTED });
        assert_eq!(none.consider(&asked), Ok(Granted::default()));
    }

    #[test]
    fn we_promise_no_refresh_that_the_far_end_would_not_take() {
        let asked = Asked { session_expires: Some("600;refresher=uas"), is_supported: true, ..Asked::default() };
        assert_eq!(SessionTimer::new(WANTED).consider(&asked), Ok(Granted::default()));
    }

    fn running(value: &str) -> SessionTimer {
        let mut timer = SessionTimer::new(WANTED);
        timer.grant(&Granted { session_expires: Some(value.to_owned()), is_required: true }, 1000);
        timer
    }

    #[test]
    fn a_session_that_the_far_end_does_not_refresh_ends_before_its_time() {
        let mut timer = running("90;refresher=uac");
        assert_eq!(timer.poll_timeout(), Some(1000 + 60_000), "a third before the end");
        assert_eq!(timer.handle_timeout(60_999), None);
        assert_eq!(timer.handle_timeout(61_000), Some(Due::Expired));
        assert_eq!((timer.handle_timeout(90_000), timer.poll_timeout()), (None, None));
        assert_eq!(running("1800;refresher=uac").poll_timeout(), Some(1000 + 1_768_000), "32 s before the end");
    }

    #[test]
    fn we_refresh_at_half_time_once_and_again_after_each_answer() {
        let mut timer = running("90;refresher=uas");
        assert_eq!(timer.handle_timeout(45_999), None);
        assert_eq!(timer.handle_timeout(46_000), Some(Due::Refresh));
        assert_eq!(timer.handle_timeout(47_000), None, "one is under way");
        assert_eq!(timer.refreshing().as_deref(), Some("90;refresher=uac"));
        timer.refreshed(Some("120;refresher=uac"), 47_000);
        assert_eq!(timer.poll_timeout(), Some(47_000 + 60_000));
        timer.refreshed(Some("120;refresher=uas"), 47_000);
        assert_eq!(timer.poll_timeout(), Some(47_000 + 88_000), "the far end has taken it over");
        timer.refreshed(None, 47_000);
        assert_eq!(timer.poll_timeout(), None, "no more timer");
    }

    #[test]
    fn a_re_invite_leaves_the_refreshing_with_whom_it_is() {
        assert_eq!(
            running("90;refresher=uas").changing().as_deref(),
            Some("90;refresher=uac"),
            "of a call that came in"
        );
        let mut theirs = running("90;refresher=uac");
        assert_eq!(theirs.changing().as_deref(), Some("90;refresher=uas"));
        theirs.raise(600);
        assert_eq!(theirs.changing().as_deref(), Some("600;refresher=uas"));
        assert_eq!(SessionTimer::new(WANTED).changing(), None);
    }

    #[test]
    fn a_call_of_ours_has_the_far_end_refresh_unless_that_says_otherwise() {
        let mut timer = SessionTimer::new(WANTED);
        assert_eq!(timer.asking(0).as_deref(), Some("1800;refresher=uas"));
        assert_eq!(timer.asking(2400).as_deref(), Some("2400;refresher=uas"));
        assert_eq!(SessionTimer::new(Wanted { expires_s: 0, ..WANTED }).asking(90), None);
        timer.answered(Some("90;refresher=uas"), false, 0);
        assert_eq!(timer.poll_timeout(), Some(60_000), "the far end refreshes, or the call ends");
        timer.answered(Some("90;refresher=uac"), true, 0);
        assert_eq!(timer.poll_timeout(), Some(45_000), "we refresh");
        timer.answered(Some("90;refresher=uac"), false, 0);
        assert_eq!(timer.poll_timeout(), None, "it takes no refresh of ours");
        timer.answered(None, true, 0);
        assert_eq!(timer.poll_timeout(), None, "it knows no timers");
    }

    #[test]
    fn a_refresh_that_fails_is_tried_again_until_the_session_is_over() {
        let mut timer = running("90;refresher=uas");
        assert_eq!(timer.handle_timeout(46_000), Some(Due::Refresh));
        assert_eq!(timer.failed(500, None, 46_100), None);
        assert_eq!(timer.handle_timeout(51_100), Some(Due::Refresh));
        assert_eq!(timer.failed(422, Some("600"), 51_200), None);
        assert_eq!(timer.refreshing().as_deref(), Some("600;refresher=uac"));
        assert_eq!(timer.handle_timeout(61_000), Some(Due::Expired), "nothing was agreed on");
        for status in [408, 481] {
            let mut gone = running("90;refresher=uas");
            assert_eq!(gone.failed(status, None, 2000), Some(Due::Expired));
            assert_eq!(gone.poll_timeout(), None);
        }
    }

    proptest! {
        /// Whatever is said and whenever it is looked at: a session with a timer ends once and in time, or is refreshed.
        #[test]
        fn a_session_is_refreshed_or_ends_in_time(
            interval_s in 90u32..4000,
            ours: bool,
            events in proptest::collection::vec((0u64..200_000, 0..5u8), 0..60),
        ) {
            let mut timer = SessionTimer::new(WANTED);
            let name = if ours { "uas" } else { "uac" };
            let mut now_ms = 0;
            timer.grant(&Granted { session_expires: Some(format!("{interval_s};refresher={name}")), is_required: true }, now_ms);
            let mut last_ms = now_ms;
            let mut longest_ms = u64::from(interval_s) * 1000;
            for (later_ms, what) in events {
                now_ms += later_ms;
                let due = timer.handle_timeout(now_ms);
                if due == Some(Due::Expired) {
                    prop_assert_eq!(timer.poll_timeout(), None);
                    prop_assert_eq!(timer.handle_timeout(u64::MAX), None, "it ends once");
                    return Ok(());
                }
                if timer.poll_timeout().is_some() {
                    prop_assert!(now_ms < last_ms + longest_ms, "it outlived its interval");
                }
                if due == Some(Due::Refresh) {
                    match what {
                        0 => { timer.refreshed(Some("95;refresher=uac"), now_ms); last_ms = now_ms; longest_ms = 95_000; }
                        1 => { let _ = timer.failed(503, None, now_ms); }
                        2 => { let _ = timer.failed(422, Some("120"), now_ms); }
                        3 => { prop_assert_eq!(timer.failed(481, None, now_ms), Some(Due::Expired)); return Ok(()); }
                        _ => {}
                    }
                }
            }
        }

        #[test]
        fn any_value_is_read_or_not(value in "\\PC{0,40}", min_se in "\\PC{0,20}", is_supported: bool, takes_update: bool) {
            let asked = Asked { session_expires: Some(&value), min_se: Some(&min_se), is_supported, takes_update };
            if let Ok(Granted { session_expires: Some(granted), .. }) = SessionTimer::new(WANTED).consider(&asked) {
                prop_assert!(seconds(&granted).is_some_and(|granted_s| granted_s >= LEAST_S));
            }
        }
    }
}
