//! Places of calls that leave: as many as a trunk and a tenant have, both ways together, and none of them lost.

use trunkline_leg::LegId;

use super::*;
use crate::outbound::{MediaOf, Placed, Wanted, Whose, request};

fn failure(refused: Result<Id, DialRefused>) -> Option<Failure> {
    match refused {
        Err(DialRefused::Failed { failure, .. }) => Some(failure),
        _ => None,
    }
}

/// Somebody is dialled as a leg of a call.
fn leg(rig: &Rig) -> Option<Placed> {
    let mint = |prefix| Id::mint(prefix, 1, [1; 10]);
    let (tenant, agent, serving) = (mint(Prefix::Tenant), mint(Prefix::Agent), rig.shared.serving.load_full());
    let wanted = Wanted {
        request: request(&tenant, &agent, trunkline_api::outbound::OutboundUse::Transfer, "+4930777"),
        only: None,
        from: None,
        variables: BTreeMap::new(),
        referred_by: None,
        headers: Vec::new(),
        media: MediaOf::Own,
        ring_ms: 20_000,
        hops: 69,
    };
    let whose = Whose { call: mint(Prefix::Call), leg: LegId(2), worker: Some(0) };
    rig.shared.outbound.place(&rig.shared, &serving, wanted, whose).ok().map(|(placed, _)| placed)
}

#[test]
fn a_trunk_takes_as_many_calls_out_as_it_may_have_and_not_one_more() {
    let plane = plane(16);
    for most in [1, 2] {
        let (rig, exchange) = dialling_with(&plane, most, 0);
        for _ in 0..most {
            dial(&rig, true).unwrap();
        }
        assert_eq!(failure(dial(&rig, true)), Some(Failure::TrunkUnavailable));
        assert_eq!(exchange.dialled.lock().unwrap().len() as u32, most);
    }
}

#[test]
fn whoever_was_dialled_for_a_call_takes_a_place_of_the_trunk_from_calls_that_come_in() {
    let plane = plane(16);
    let (mut rig, _exchange) = dialling_with(&plane, 1, 0);
    let placed = leg(&rig).unwrap();
    let refused = rig.call();
    rig.settle();
    assert_eq!(rig.told(refused), [Told::Reject(503, "gateway_full".to_owned())]);
    drop(placed);
    let taken = rig.call();
    rig.store.write(&name(taken), true);
    rig.settle();
    assert_eq!(rig.told(taken), [Told::Accept]);
}

#[test]
fn a_tenant_places_no_call_beyond_those_it_may_have_at_once() {
    let plane = plane(16);
    let (mut rig, exchange) = dialling_with(&plane, 0, 1);
    let up = rig.call();
    rig.store.write(&name(up), true);
    rig.settle();
    assert_eq!(failure(dial(&rig, true)), Some(Failure::GatewayFull));
    assert!(exchange.dialled.lock().unwrap().is_empty());
    rig.begun.clear();
    assert!(dial(&rig, true).is_ok());
}

#[test]
fn a_call_that_sip_never_spoke_of_again_gives_back_what_it_had() {
    let plane = plane(16);
    let (mut rig, exchange) = dialling(&plane);
    dial(&rig, true).unwrap();
    rig.intake.over(rig.shared.outbound.due_at(outbound::wall_us() + 11 * 60 * 1_000_000));
    rig.settle();
    assert_eq!((written(&rig), rig.shared.admission.calls()), (Some(1), 0));
    assert_eq!(rig.store.closed.lock().unwrap()[0].failure, Some(Failure::Internal));
    assert!(rig.shared.outbound.whose(CallKey(1000)).is_none());
    assert_eq!(exchange.cancelled.lock().unwrap()[..], [CallKey(1000)]);
}

#[test]
fn a_call_that_still_rings_when_the_gateway_ends_leaves_no_open_record() {
    let plane = plane(16);
    let (mut rig, exchange) = dialling(&plane);
    dial(&rig, true).unwrap();
    rig.intake.finish(Waker::noop());
    assert_eq!((written(&rig), rig.shared.admission.calls()), (Some(1), 0));
    assert_eq!(rig.store.closed.lock().unwrap()[0].failure, Some(Failure::GatewayDraining));
    assert_eq!(exchange.cancelled.lock().unwrap()[..], [CallKey(1000)], "nobody is left ringing");
}
