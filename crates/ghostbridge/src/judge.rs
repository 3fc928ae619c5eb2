//! The judge that an L1 uses: the engine itself.

use ghostplane_engine::{Plane, replay};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_settlement::{Case, Judge, Verdict};

/// Replays a batch with the engine, on one thread.
#[derive(Clone, Debug)]
pub struct EngineJudge {
    plane: Plane,
}

impl EngineJudge {
    /// A judge by the rules of `plane`.
    pub fn new(plane: Plane) -> Self {
        Self { plane }
    }
}

impl Judge for EngineJudge {
    fn replay(&self, case: &Case<'_>) -> Verdict {
        debug_assert_eq!(case.plane_id, self.plane.plane_id(), "the settlement is of this plane");
        let case = replay::Case {
            plane: &self.plane,
            generation: case.generation,
            prev: case.prev,
            inbox: case.inbox,
            posted: case.posted,
            witness: case.witness,
            claimed: case.claimed,
        };
        match replay(&case, &Serial) {
            replay::Verdict::Same => Verdict::Same,
            replay::Verdict::Differs(difference) => Verdict::Differs { reason: difference.code() },
            replay::Verdict::Insufficient(_) => Verdict::Insufficient,
        }
    }
}
