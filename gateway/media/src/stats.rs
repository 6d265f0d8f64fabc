//! Counters, written by media with plain stores and readable from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($(#[$outer:meta])* $name:ident, $(#[$shared_outer:meta])* $shared:ident {
        $($(#[$doc:meta])* $field:ident,)*
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
        }

        $(#[$shared_outer])*
        #[derive(Debug, Default)]
        pub(crate) struct $shared {
            $($field: AtomicU64,)*
        }

        impl $shared {
            /// Publishes a snapshot; fields may be seen a tick apart.
            pub(crate) fn store(&self, stats: &$name) {
                $(self.$field.store(stats.$field, Ordering::Relaxed);)*
            }

            pub(crate) fn load(&self) -> $name {
                $name { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Counters of one leg since it began.
    LegStats,
    /// As the media worker publishes them.
    SharedLegStats {
        /// RTP packets accepted.
        packets_in,
        /// Bytes of their payloads.
        bytes_in,
        /// RTP packets sent.
        packets_out,
        /// Bytes of their payloads.
        bytes_out,
        /// Packets that never came in time to be played (RFC 3550 counts late ones as received; this does not).
        lost,
        /// Packets that came after their turn.
        late,
        /// Packets that came twice.
        duplicate,
        /// Milliseconds of sound made up for missing packets.
        concealed_ms,
        /// Interarrival jitter in microseconds (RFC 3550 6.4.1).
        jitter_us,
        /// Delay that the jitter buffer aims for, in microseconds.
        target_delay_us,
        /// Delay of the last frame from the arrival of its packet to the ring, in microseconds.
        delay_us,
        /// Packets from another source than signalled or learned.
        dropped_source,
        /// Packets of a payload type that was not agreed.
        dropped_payload_type,
        /// Packets that are not RTP version 2, or whose lengths contradict each other.
        dropped_malformed,
        /// Packets above 1500 bytes, or with a payload larger than 60 ms of the codec.
        dropped_size,
        /// Packets of a new synchronisation source on probation or refused.
        dropped_ssrc,
        /// Packets dropped because too much was waiting, or far from the stream's time.
        dropped_overrun,
        /// Packets that came while the leg should not receive (hold).
        dropped_direction,
        /// Telephone events recognised as new digits.
        dtmf_digits,
        /// Changes of the far end's synchronisation source that were accepted.
        ssrc_changes,
        /// Up frames that found the ring full; the newest is dropped.
        up_dropped,
        /// Down frames of an older generation that were dropped.
        down_dropped,
        /// Packets that the operating system refused to send.
        send_errors,
        /// RTCP packets accepted.
        rtcp_in,
        /// RTCP packets dropped: malformed or from another source.
        rtcp_dropped,
        /// RTCP packets sent.
        rtcp_out,
        /// Round-trip time by RTCP in microseconds; 0 while unknown.
        rtt_us,
        /// Packets of ours that the far end reports lost.
        remote_lost,
        /// Times the tick came too late to be caught up; each skips one frame.
        ticks_skipped,
        /// Frames that the recording lost because the disk was too slow; silence stands for them.
        recording_dropped,
    }
}

counters! {
    /// Counters of one media worker since it began.
    WorkerStats,
    /// As the worker publishes them.
    SharedWorkerStats {
        /// Phases served, 200 a second.
        phases,
        /// Phases that began more than 5 ms late.
        late_phases,
        /// The worst lateness in microseconds.
        worst_late_us,
        /// Phases that were given up because the worker was more than 100 ms late.
        skipped_phases,
        /// Time spent working in microseconds.
        busy_us,
        /// Legs attached now.
        legs,
        /// Legs that were ended because their processing panicked.
        panics,
        /// 1 when the worker runs with real-time priority.
        realtime,
    }
}
