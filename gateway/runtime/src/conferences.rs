//! Conferences of a tenant's calls, by name: there while anybody is in them. Calls of one tenant never meet those of another,
//! whatever they name theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use trunkline_api::Id;
use trunkline_media::{Conference, MAX_CONFERENCE};

/// Most conferences at a time: each takes about 100 kB.
const MOST_ROOMS: usize = 256;

/// Whose conference, and its name.
type Key = (Id, String);

/// Every conference.
#[derive(Default)]
pub(crate) struct Conferences(Mutex<BTreeMap<Key, Room>>);

struct Room {
    sound: Conference,
    members: Vec<ConferenceMember>,
}

/// A call in a conference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConferenceMember {
    /// Which.
    pub call: Id,
    /// Whether the others do not hear it.
    pub muted: bool,
}

/// A conference, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConferenceInfo {
    /// Whose it is.
    pub tenant: Id,
    /// Its name.
    pub room: String,
    /// Who is in it, in the order in which they came.
    pub members: Vec<ConferenceMember>,
}

/// A call's place in a conference, given back by dropping it.
pub(crate) struct Place {
    all: Arc<Conferences>,
    key: Key,
    call: Id,
}

impl Conferences {
    /// Goes into a conference, which begins with the first; `None` where there is no place.
    pub(crate) fn enter(self: &Arc<Self>, tenant: &Id, room: &str, call: &Id) -> Option<(Conference, Place)> {
        let key = (tenant.clone(), room.to_owned());
        let mut rooms = self.rooms();
        if !rooms.contains_key(&key) && rooms.len() >= MOST_ROOMS {
            return None;
        }
        let new = || Room { sound: Conference::new(MAX_CONFERENCE), members: Vec::new() };
        let room = rooms.entry(key.clone()).or_insert_with(new);
        if room.members.len() >= MAX_CONFERENCE {
            return None;
        }
        room.members.push(ConferenceMember { call: call.clone(), muted: false });
        let place = Place { all: Arc::clone(self), key, call: call.clone() };
        Some((room.sound.clone(), place))
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<ConferenceInfo> {
        let of = |((tenant, room), now): (&Key, &Room)| ConferenceInfo {
            tenant: tenant.clone(),
            room: room.clone(),
            members: now.members.clone(),
        };
        self.rooms().iter().map(of).collect()
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<Key, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether the others do not hear it.
    pub(crate) fn mute(&self, on: bool) {
        let mut rooms = self.all.rooms();
        let members = rooms.get_mut(&self.key).map(|room| &mut room.members);
        let ours = members.into_iter().flatten().find(|member| member.call == self.call);
        if let Some(member) = ours {
            member.muted = on;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.all.rooms();
        if let Some(room) = rooms.get_mut(&self.key) {
            room.members.retain(|member| member.call != self.call);
            if room.members.is_empty() {
                rooms.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::Prefix;

    use super::*;

    fn id(prefix: Prefix, n: u8) -> Id {
        Id::mint(prefix, 1, [n; 10])
    }

    #[test]
    fn a_conference_is_its_tenants_has_so_many_places_and_ends_with_its_last_member() {
        let all = Arc::new(Conferences::default());
        let [one, other] = [1, 2].map(|n| id(Prefix::Tenant, n));
        let enter = |tenant: &Id, n: u8| all.enter(tenant, "monday", &id(Prefix::Call, n)).map(|(_, place)| place);
        let mut places: Vec<Place> = (0..MAX_CONFERENCE as u8).map(|n| enter(&one, n).unwrap()).collect();
        assert!(enter(&one, 99).is_none());
        let elsewhere = enter(&other, 99).unwrap();
        assert_eq!(all.all().len(), 2, "the same name, and another conference");
        places[0].mute(true);
        let members = all.all().into_iter().find(|room| room.tenant == one).unwrap().members;
        assert_eq!(members.iter().map(|member| member.muted).collect::<Vec<_>>()[..2], [true, false]);
        places.truncate(1);
        assert!(enter(&one, 99).is_some());
        drop((places, elsewhere));
        assert_eq!(all.all(), []);
    }

    #[test]
    fn there_are_so_many_conferences_and_no_more() {
        let all = Arc::new(Conferences::default());
        let (tenant, call) = (id(Prefix::Tenant, 1), id(Prefix::Call, 1));
        let places: Vec<_> = (0..MOST_ROOMS)
            .map(|n| all.enter(&tenant, &n.to_string(), &call).map(|(_, place)| place).unwrap())
            .collect();
        assert!(all.enter(&tenant, "one more", &call).is_none());
        assert!(all.enter(&tenant, "0", &id(Prefix::Call, 2)).is_some(), "those that are there take others in");
        drop(places);
    }
}
