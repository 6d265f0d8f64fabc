//! What the DNS said of the servers of a trunk. Records are asked for again when their time is over, between ten seconds and
//! five minutes; what nobody answers any more is believed for another hour: calls need no name server.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::locate::{Answers, Found, Naptr, Question, Records, Srv};

/// How soon a question is asked again, at the soonest and at the latest.
const LEAST_MS: u64 = 10_000;
const MOST_MS: u64 = 300_000;
/// The same after a failure.
const RETRY_MS: u64 = 10_000;
/// How long an answer is believed that could not be had again.
const STALE_MS: u64 = 3_600_000;
/// Most questions of a trunk; whatever is beyond them is as though nobody answered.
const MOST: usize = 128;
/// Most questions that are asked at once.
const MOST_ASKED: usize = 8;

/// Questions and their answers.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<Question, Known>,
}

#[derive(Debug, Default)]
struct Known {
    answers: Option<Answers>,
    /// When they were had.
    found_ms: u64,
    again_ms: u64,
    asked: bool,
    failed: bool,
}

impl Names {
    /// A look at the cache that notes what is looked for.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        Look { names: self, sought: RefCell::default() }
    }

    /// Only these questions matter from now on; the first 128 of them are asked.
    pub fn handle_sought(&mut self, now_ms: u64, sought: BTreeSet<Question>) {
        self.known.retain(|question, _| sought.contains(question));
        for question in sought {
            if self.known.len() < MOST {
                self.known.entry(question).or_insert_with(|| Known { again_ms: now_ms, ..Known::default() });
            }
        }
    }

    /// What is to be asked now, each question once until it is answered.
    pub fn poll_question(&mut self, now_ms: u64) -> Option<Question> {
        if self.known.values().filter(|known| known.asked).count() >= MOST_ASKED {
            return None;
        }
        let due = self.known.iter_mut().find(|(_, known)| !known.asked && known.again_ms <= now_ms);
        due.map(|(question, known)| {
            known.asked = true;
            question.clone()
        })
    }

    /// A question was answered, with the records' time to live in seconds; `None` when nobody answered.
    pub fn handle_found(&mut self, now_ms: u64, question: &Question, found: Option<(Answers, u32)>) {
        let Some(known) = self.known.get_mut(question) else { return };
        known.asked = false;
        match found {
            Some((answers, ttl_s)) => {
                (known.answers, known.found_ms, known.failed) = (Some(answers), now_ms, false);
                known.again_ms = now_ms + (u64::from(ttl_s) * 1000).clamp(LEAST_MS, MOST_MS);
            }
            None => {
                known.failed = true;
                known.again_ms = now_ms + RETRY_MS;
                if now_ms.saturating_sub(known.found_ms) >= STALE_MS {
                    known.answers = None;
                }
            }
        }
    }

    /// When [`Names::poll_question`] is to be asked next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let asked = self.known.values().filter(|known| known.asked).count();
        let due = self.known.values().filter(|known| !known.asked).map(|known| known.again_ms).min();
        due.filter(|_| asked < MOST_ASKED)
    }
}

/// The cache, as it is while servers are looked for.
#[derive(Debug)]
pub struct Look<'a> {
    names: &'a Names,
    sought: RefCell<BTreeSet<Question>>,
}

impl Look<'_> {
    /// What was looked for.
    #[must_use]
    pub fn sought(self) -> BTreeSet<Question> {
        self.sought.into_inner()
    }

    fn find<T: Clone>(&self, question: Question, of: fn(&Answers) -> Option<&Vec<T>>) -> Found<T> {
        let known = self.names.known.get(&question);
        let full = self.names.known.len() >= MOST;
        self.sought.borrow_mut().insert(question);
        match known {
            Some(Known { answers: Some(answers), .. }) => Found::Known(of(answers).cloned().unwrap_or_default()),
            Some(Known { failed: true, .. }) => Found::Failed,
            Some(_) => Found::Unknown,
            None if full => Found::Failed,
            None => Found::Unknown,
        }
    }
}

impl Records for Look<'_> {
    fn naptr(&self, domain: &str) -> Found<Naptr> {
        self.find(Question::Naptr(domain.to_owned()), |answers| match answers {
            Answers::Naptr(records) => Some(records),
            Answers::Srv(_) | Answers::Addresses(_) => None,
        })
    }

    fn srv(&self, service: &str) -> Found<Srv> {
        self.find(Question::Srv(service.to_owned()), |answers| match answers {
            Answers::Srv(records) => Some(records),
            Answers::Naptr(_) | Answers::Addresses(_) => None,
        })
    }

    fn addresses(&self, host: &str, v6: bool) -> Found<IpAddr> {
        let question = if v6 { Question::Aaaa(host.to_owned()) } else { Question::A(host.to_owned()) };
        self.find(question, |answers| match answers {
            Answers::Addresses(records) => Some(records),
            Answers::Naptr(_) | Answers::Srv(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a(host: &str) -> Question {
        Question::A(host.to_owned())
    }

    fn addresses(names: &Names, host: &str) -> Found<IpAddr> {
        names.look().addresses(host, false)
    }

    #[test]
    fn what_nobody_answers_any_more_is_believed_for_an_hour() {
        let mut names = Names::default();
        assert_eq!(addresses(&names, "pbx.example"), Found::Unknown);
        names.handle_sought(0, [a("pbx.example")].into());
        assert_eq!(names.poll_question(0), Some(a("pbx.example")));
        assert_eq!((names.poll_question(0), names.poll_timeout()), (None, None), "asked once");
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        names.handle_found(5, &a("pbx.example"), Some((Answers::Addresses(vec![address]), 60)));
        assert_eq!(addresses(&names, "pbx.example"), Found::Known(vec![address]));
        assert_eq!(names.poll_timeout(), Some(60_005));
        let (mut now, mut asked) = (60_005, 0);
        while addresses(&names, "pbx.example") == Found::Known(vec![address]) {
            now = names.poll_timeout().unwrap();
            assert!(names.poll_question(now).is_some());
            names.handle_found(now, &a("pbx.example"), None);
            asked += 1;
        }
        assert!((3_600_000..3_620_000).contains(&now) && asked < 400, "{now}, {asked}");
        assert_eq!(addresses(&names, "pbx.example"), Found::Failed, "and nobody waits for it");
    }

    #[test]
    fn records_are_asked_for_again_when_their_time_is_over_and_no_sooner_than_after_ten_seconds() {
        for (ttl_s, again_ms) in [(0, 10_000), (60, 60_000), (86_400, 300_000), (u32::MAX, 300_000)] {
            let mut names = Names::default();
            names.handle_sought(0, [a("x")].into());
            names.poll_question(0).unwrap();
            names.handle_found(0, &a("x"), Some((Answers::Addresses(Vec::new()), ttl_s)));
            assert_eq!((addresses(&names, "x"), names.poll_timeout()), (Found::Known(Vec::new()), Some(again_ms)));
        }
    }

    #[test]
    fn what_is_looked_for_no_more_is_forgotten_and_what_is_too_much_has_no_answer() {
        let mut names = Names::default();
        names.handle_sought(0, [a("old")].into());
        let many: BTreeSet<Question> = (0..MOST + 9).map(|number| a(&format!("host{number:03}"))).collect();
        names.handle_sought(0, many);
        assert_eq!(names.known.len(), MOST);
        assert_eq!(addresses(&names, "host999"), Found::Failed);
        assert_eq!(std::iter::from_fn(|| names.poll_question(0)).count(), MOST_ASKED);
        assert_eq!(names.poll_timeout(), None, "until one is answered");
        names.handle_found(0, &a("old"), Some((Answers::Addresses(Vec::new()), 60)));
        names.handle_found(0, &a("host000"), None);
        assert_eq!(names.poll_timeout(), Some(0));
    }
}
