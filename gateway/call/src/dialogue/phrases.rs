//! What machines, menus, assistants and people say when they answer a telephone, in the languages that agents are written
//! in most. Only phrases that the others do not use: one that is missed costs a little time, a wrong one a call.

use trunkline_api::answering::Answerer;

/// Of machines that record.
const MACHINE: [&str; 70] = [
    "leave a message",
    "leave your message",
    "leave me a message",
    "leave your name",
    "after the tone",
    "after the beep",
    "at the tone",
    "at the beep",
    "voicemail",
    "voice mail",
    "voice mailbox",
    "answering machine",
    "mailbox is full",
    "cannot take your call",
    "can t take your call",
    "can t come to the phone",
    "unable to take your call",
    "not available to take your call",
    "record your message",
    "the person you are calling is not available",
    "you ve reached the voicemail",
    "get back to you as soon as",
    "nach dem ton",
    "nach dem signalton",
    "nach dem piepton",
    "nach dem piep",
    "anrufbeantworter",
    "mailbox von",
    "hinterlassen sie",
    "hinterlasst",
    "eine nachricht hinterlassen",
    "nachricht nach dem",
    "sprachbox",
    "zurzeit nicht erreichbar",
    "rufe zurück sobald",
    "persönlich nicht erreichbar",
    "después de la señal",
    "despues de la senal",
    "después del tono",
    "deje un mensaje",
    "deje su mensaje",
    "deja tu mensaje",
    "deja un mensaje",
    "buzón de voz",
    "contestador automático",
    "no puedo atender",
    "après le bip",
    "après le signal",
    "après la tonalité",
    "laissez un message",
    "laissez moi un message",
    "laisser un message",
    "messagerie vocale",
    "répondeur",
    "boîte vocale",
    "sur la messagerie",
    "dopo il segnale",
    "dopo il bip",
    "lasciate un messaggio",
    "lascia un messaggio",
    "segreteria telefonica",
    "após o sinal",
    "depois do sinal",
    "deixe a sua mensagem",
    "deixe uma mensagem",
    "deixe sua mensagem",
    "caixa postal",
    "na de piep",
    "na de toon",
    "spreek een bericht in",
];

/// Of menus of keys.
const IVR: [&str; 33] = [
    "press 1",
    "press one",
    "press 2",
    "press two",
    "press zero",
    "press 0",
    "for sales press",
    "press the pound key",
    "listen carefully as our menu",
    "main menu",
    "para español",
    "say or press",
    "drücken sie die",
    "drücken sie bitte",
    "wählen sie die",
    "drücken sie eins",
    "hauptmenü",
    "pulse uno",
    "pulse 1",
    "marque uno",
    "marque 1",
    "menú principal",
    "oprima el",
    "tapez 1",
    "tapez un",
    "appuyez sur",
    "menu principal",
    "faites le 1",
    "premere 1",
    "prema 1",
    "prema uno",
    "pressione 1",
    "toets 1",
];

/// Of assistants that ask who is calling.
const SCREENING: [&str; 30] = [
    "who is calling and why",
    "state your name",
    "say your name and",
    "tell me your name and",
    "reason for calling",
    "reason for your call",
    "call screening",
    "screening service",
    "record your name and reason",
    "this call is being screened",
    "i ll see if this person is available",
    "see if they are available",
    "the person you re calling is using",
    "name and the reason",
    "grund ihres anrufs",
    "grund für ihren anruf",
    "nennen sie ihren namen",
    "ihren namen und den grund",
    "wer ruft an und",
    "motivo de su llamada",
    "motivo de tu llamada",
    "diga su nombre",
    "diga su nombre y",
    "raison de votre appel",
    "motif de votre appel",
    "indiquez votre nom",
    "motivo della chiamata",
    "dica il suo nome",
    "motivo da sua chamada",
    "reden van uw oproep",
];

/// Of networks that cannot reach anybody.
const UNAVAILABLE: [&str; 24] = [
    "number you have dialed",
    "number you have dialled",
    "number you have called is not",
    "not in service",
    "has been disconnected",
    "cannot be completed as dialed",
    "no longer in service",
    "kein anschluss unter dieser nummer",
    "diese rufnummer ist nicht",
    "nummer ist uns nicht bekannt",
    "teilnehmer ist vorübergehend nicht erreichbar",
    "gewählte rufnummer ist",
    "el número marcado no",
    "el número que usted marcó",
    "no existe línea en servicio",
    "teléfono al que llama está apagado",
    "numéro que vous avez composé n",
    "numéro que vous avez demandé n",
    "correspondant n est pas joignable",
    "numero selezionato è inesistente",
    "utente da lei chiamato non è",
    "número que marcou não",
    "número chamado não",
    "nummer is niet in gebruik",
];

/// Of people who answer.
const HUMAN: [&str; 28] = [
    "who is this",
    "who s this",
    "who is speaking",
    "speaking how can i help",
    "how can i help",
    "how may i help",
    "what can i do for you",
    "can i help you",
    "good morning this is",
    "can you hear me",
    "wie kann ich helfen",
    "was kann ich für sie tun",
    "wer ist da",
    "wer spricht da",
    "am apparat",
    "en qué puedo ayudar",
    "quién es",
    "quién habla",
    "de parte de quién",
    "diga dígame",
    "que puis je faire pour vous",
    "qui est à l appareil",
    "c est qui",
    "come posso aiutar",
    "chi parla",
    "em que posso ajudar",
    "quem fala",
    "waarmee kan ik u helpen",
];

/// Short answers of people: whole utterances.
const HELLO: [&str; 40] = [
    "hello",
    "hi",
    "hey",
    "yes",
    "yeah",
    "yes hello",
    "hello hello",
    "hello there",
    "hi there",
    "good morning",
    "good afternoon",
    "good evening",
    "speaking",
    "yes speaking",
    "hallo",
    "ja",
    "ja hallo",
    "ja bitte",
    "guten tag",
    "guten morgen",
    "moin",
    "servus",
    "grüezi",
    "hola",
    "sí",
    "si",
    "bueno",
    "diga",
    "dígame",
    "aló",
    "alô",
    "allô",
    "allo",
    "oui",
    "oui allô",
    "bonjour",
    "pronto",
    "sim",
    "estou",
    "met wie spreek ik",
];

const YES: [&str; 46] = [
    "yes",
    "yeah",
    "yep",
    "sure",
    "ok",
    "okay",
    "of course",
    "put them through",
    "put him through",
    "put her through",
    "go ahead",
    "i ll take it",
    "i take it",
    "accept",
    "please do",
    "one",
    "ja",
    "klar",
    "gerne",
    "ja gerne",
    "ja bitte",
    "natürlich",
    "stellen sie durch",
    "stell durch",
    "ich übernehme",
    "einverstanden",
    "sí",
    "si",
    "claro",
    "vale",
    "de acuerdo",
    "páselo",
    "oui",
    "d accord",
    "bien sûr",
    "passez le moi",
    "allez y",
    "certo",
    "va bene",
    "sì",
    "sim",
    "pode passar",
    "está bem",
    "prima",
    "is goed",
    "verbind maar door",
];

const NO: [&str; 34] = [
    "no",
    "nope",
    "not now",
    "i can t",
    "i cannot",
    "busy",
    "i m busy",
    "no thanks",
    "no thank you",
    "decline",
    "reject",
    "later",
    "call back later",
    "nein",
    "nein danke",
    "jetzt nicht",
    "geht nicht",
    "keine zeit",
    "später",
    "gerade nicht",
    "ahora no",
    "no puedo",
    "luego",
    "non",
    "pas maintenant",
    "je ne peux pas",
    "plus tard",
    "adesso no",
    "non posso",
    "não",
    "agora não",
    "não posso",
    "nee",
    "nu niet",
];

/// Most words of a plain answer.
const PLAIN_WORDS: usize = 6;

/// Every word of a plain answer or greeting.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    YES.into_iter().chain(NO).chain(HELLO).flat_map(str::split_whitespace)
}

/// Words as they are compared: lower case, with a space for whatever is no letter or digit.
fn bare(text: &str) -> String {
    let mut bare = String::with_capacity(text.len() + 2);
    bare.push(' ');
    for character in text.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            bare.push(character);
        } else if !bare.ends_with(' ') {
            bare.push(' ');
        }
    }
    if !bare.ends_with(' ') {
        bare.push(' ');
    }
    bare
}

/// Whether one of these begins with a word of a text that [`bare`] made.
fn has(text: &str, phrases: &[&str]) -> bool {
    let from_each_word = || text.match_indices(' ').map(|(at, _)| &text[at + 1..]);
    from_each_word().any(|rest| phrases.iter().any(|phrase| rest.starts_with(phrase)))
}

fn is_one(text: &str, phrases: &[&str]) -> bool {
    phrases.contains(&text.trim())
}

/// Who says this, and how sure that is in percent; `None` when everybody could.
pub(super) fn who_says(text: &str) -> Option<(Answerer, u32)> {
    let text = bare(text);
    // An assistant may offer to take a message, and a menu may offer a mailbox: what is more particular comes first.
    let tables: [(&[&str], Answerer, u32); 5] = [
        (&UNAVAILABLE, Answerer::Unavailable, 90),
        (&SCREENING, Answerer::Screening, 90),
        (&MACHINE, Answerer::Machine, 95),
        (&IVR, Answerer::Ivr, 90),
        (&HUMAN, Answerer::Human, 85),
    ];
    let found = tables.into_iter().find(|(phrases, ..)| has(&text, phrases));
    found.map(|(_, who, percent)| (who, percent))
}

/// Whether this is how a person answers, and nothing more.
pub(super) fn is_hello(text: &str) -> bool {
    is_one(&bare(text), &HELLO)
}

/// Whether a machine says this.
pub(super) fn is_machine(text: &str) -> bool {
    matches!(who_says(text), Some((Answerer::Machine | Answerer::Unavailable, _)))
}

/// Whether this is a plain yes or a plain no.
pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    let text = bare(text);
    if text.split_whitespace().count() > PLAIN_WORDS {
        return None;
    }
    let begins = |phrases: &[&str]| {
        phrases.iter().any(|phrase| text[1..].strip_prefix(phrase).is_some_and(|rest| rest.starts_with(' ')))
    };
    match (begins(&YES), begins(&NO)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (true, true) | (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_menus_assistants_and_networks_are_told_apart_in_seven_languages() {
        let said = [
            ("Hi, you've reached Ann. Please leave a message after the tone.", Answerer::Machine),
            (
                "Dies ist die Mailbox von Anna. Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
                Answerer::Machine,
            ),
            ("Deje su mensaje después de la señal.", Answerer::Machine),
            ("Bonjour, laissez-moi un message après le bip.", Answerer::Machine),
            ("Lasciate un messaggio dopo il segnale acustico.", Answerer::Machine),
            ("Deixe a sua mensagem após o sinal.", Answerer::Machine),
            ("Spreek een bericht in na de piep.", Answerer::Machine),
            ("Thank you for calling. For sales, press 1. For support, press 2.", Answerer::Ivr),
            ("Für den Vertrieb drücken Sie bitte die Eins.", Answerer::Ivr),
            ("Para ventas, pulse 1.", Answerer::Ivr),
            ("Pour le service client, tapez 1.", Answerer::Ivr),
            ("Per informazioni prema 1", Answerer::Ivr),
            ("Para vendas, pressione 1", Answerer::Ivr),
            ("Voor verkoop, toets 1.", Answerer::Ivr),
            (
                "Hi, if you record your name and reason for calling, I'll see if this person is available.",
                Answerer::Screening,
            ),
            ("Bitte nennen Sie Ihren Namen und den Grund Ihres Anrufs.", Answerer::Screening),
            ("¿Cuál es el motivo de su llamada?", Answerer::Screening),
            ("Quel est le motif de votre appel ?", Answerer::Screening),
            ("Kein Anschluss unter dieser Nummer.", Answerer::Unavailable),
            ("The number you have dialed is not in service.", Answerer::Unavailable),
            ("Smith and sons, good morning, how can I help you?", Answerer::Human),
            ("Müller am Apparat, was kann ich für Sie tun?", Answerer::Human),
        ];
        for (text, who) in said {
            assert_eq!(who_says(text).map(|(who, _)| who), Some(who), "{text}");
        }
    }

    #[test]
    fn what_people_say_in_a_conversation_is_nobodys_phrase() {
        for text in [
            "yes I got your message yesterday",
            "I left a message with your colleague",
            "what is the price of the express delivery",
            "can you send it by mail",
            "ich habe schon eine Nachricht bekommen",
            "nach dem Essen passt es gut",
            "one moment I am in the car",
            "I pressed the button twice",
        ] {
            assert_eq!(who_says(text), None, "{text}");
        }
        assert!(is_hello("Hello?") && is_hello("Ja, hallo?") && is_hello("Pronto!"));
        assert!(!is_hello("hello you have reached"));
    }

    #[test]
    fn a_plain_answer_is_understood_and_a_question_is_none() {
        for (text, answer) in [
            ("Yes, please.", Some(true)),
            ("ja, stellen Sie durch", Some(true)),
            ("No, I'm in a meeting.", Some(false)),
            ("Nein danke", Some(false)),
            ("Who is it?", None),
            ("yes but tell me first what it is that she wants", None),
            ("", None),
        ] {
            assert_eq!(yes_or_no(text), answer, "{text}");
        }
    }
}
