//! Counters, written by media with plain stores and readable from anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($(#[$outer:meta])* $name:ident, $(#[$shared_outer:meta])* $shared:ident {
        $($(#[doc = $doc:literal])* $field:ident,)*
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: u64,)*
        }

        impl $name {
            /// Number of fields.
            pub const FIELDS: usize = [$(stringify!($field)),*].len();

            /// Every field by name, with what it says.
            #[must_use]
            pub const fn each(&self) -> [(&'static str, &'static str, u64); Self::FIELDS] {
                [$((stringify!($field), concat!($($doc),*), self.$field)),*]
            }
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
        /// Encrypted packets whose tag is wrong, and plain ones where they should be encrypted.
        srtp_forged,
        /// Encrypted packets that came before, or so late that nobody knows.
        srtp_replayed,
        /// Packets of a new synchronisation source on probation or refused.
        dropped_ssrc,
        /// Packets dropped because too much was waiting, or far from the stream's time.
        dropped_overrun,
        /// Packets that came while the leg should not receive (hold).
        dropped_direction,
        /// Digits recognised, as telephone events or as tones.
        dtmf_digits,
        /// Digits sent.
        dtmf_sent,
        /// Times the agent was turned down because somebody might have been interrupting it.
        interruptions_suspected,
        /// Of them, those that were nobody: it went on as if nothing had been.
        interruptions_dismissed,
        /// Times somebody interrupted it, whether the call lets it be cut or not.
        interruptions_confirmed,
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
        /// Interarrival jitter of our packets at the far end in microseconds, as it reports.
        remote_jitter_us,
        /// Mean opinion score in hundredths, 100..=450, of what the leg hears: conversational, by the E-model (ITU-T
        /// G.107); 0 while nothing was heard.
        mos_in,
        /// The same of what the far end hears, from its reports; 0 while there were none.
        mos_out,
        /// Packets that only keep bindings of NATs open (RFC 6263).
        keepalives,
        /// Times the tick came too late to be caught up; each skips one frame.
        ticks_skipped,
        /// Frames that a tap's listener was too slow for; silence stands for them.
        recording_dropped,
        /// 1 when the worker's signal processing had no room for the leg: its sound is left as it is.
        unprocessed,
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
        /// Batches of signal processing that panicked and were done again leg by leg.
        batches_redone,
        /// 1 when the worker runs with real-time priority.
        realtime,
        /// Load of the fullest quarter of a tick over the last second, in thousandths of its 5 ms.
        load_permille,
        /// What the worker leaves out for want of time: 0 nothing, 1 it denoises with the economy engine, 2 it does not
        /// denoise, 3 it also takes no new legs.
        shedding,
        /// Times the worker began to leave out more.
        sheddings,
        /// Legs that came from another worker.
        moved_in,
        /// Legs that went to another worker.
        moved_out,
        /// Legs whose noise is taken out by the default engine now.
        legs_lanes,
        /// Legs whose noise is taken out by the economy engine now.
        legs_economy,
        /// Legs whose noise is taken out by the reference engine now.
        legs_reference,
        /// Legs whose noise is left alone now.
        legs_off,
    }
}
