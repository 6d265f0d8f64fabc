//! The end of an endpoint that still has calls or registrations: nobody is left talking to a gateway that has gone, and no
//! registrar sends it more callers.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{ByeReason, Call, CallHandle, Refusal};
use crate::dialog::Phase;
use crate::shared::Shared;

/// How long far ends have for their answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they are here.
const LOOK: Duration = Duration::from_millis(10);

/// Hangs every call up, refuses those that ring, takes back those of ours that nobody has answered, and every registration, and
/// waits for the far ends' answers, but not for long.
pub(crate) async fn all(shared: &Arc<Shared>) {
    shared.awaiting.give_up();
    let registrations = shared.keeping.end();
    let calls: Vec<Arc<Call>> = shared.calls().values().cloned().collect();
    for call in calls {
        let handle = CallHandle { shared: Arc::clone(shared), call };
        let phase = handle.call.dialog().phase;
        // One that was answered a moment ago is hung up as soon as its ACK is here. None of this can fail but by the
        // call's having ended meanwhile.
        let _ = match phase {
            Phase::Ringing => handle.reject(&Refusal { q850: Some(41), ..Refusal::status(503) }),
            _ => handle.bye(&ByeReason { q850: 41, text: "Temporary failure".to_owned() }),
        };
    }
    let answered = async {
        while !shared.calls().is_empty() || shared.awaiting.calls() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let taken_back = async {
        for registration in registrations {
            let _ = registration.await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, async { tokio::join!(answered, taken_back) }).await;
}
