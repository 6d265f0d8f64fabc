//! What is spoken of what is written, row by row and language by language.

use proptest::prelude::*;
use trunkline_api::speech::Pronunciation;

use super::*;

fn rules(policy: &str) -> Rules {
    Rules::new(&serde_json::from_str(policy).unwrap())
}

/// Everything a synthesiser gets of a text, pauses as numbers in brackets.
fn spoken(rules: &Rules, text: &str, language: &str) -> String {
    let mut out = Vec::new();
    for piece in rules.render(text, language) {
        match piece {
            Piece::Pause(ms) => out.push(format!("[{ms}]")),
            Piece::Words(Words { written, spoken, language }) => {
                let text = spoken.map_or(written, |spoken| spoken.text);
                out.push(if language.is_empty() { text } else { format!("{language}:{text}") });
            }
        }
    }
    out.join(" ")
}

fn table(normalize: &str, language: &str, rows: &[(&str, &str)]) {
    let rules = rules(&format!(r#"{{"normalize":"{normalize}"}}"#));
    let wrong: Vec<String> = rows
        .iter()
        .map(|(written, expected)| (written, spoken(&rules, written, language), expected))
        .filter(|(_, spoken, expected)| spoken != *expected)
        .map(|(written, spoken, expected)| format!("{written:?}: {spoken:?}, not {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{language}:\n{}", wrong.join("\n"));
}

#[test]
fn signs_are_spoken_in_english() {
    table(
        "signs",
        "en",
        &[
            ("Visit https://www.example.com/help?ref=1.", "Visit www dot example dot com slash help."),
            ("It is on example.org, see there.", "It is on example dot org, see there."),
            ("Mail john.doe_2@example.co.uk!", "Mail john dot doe underscore 2 at example dot co dot uk!"),
            ("Call +44 20 7946 0958.", "Call plus four four, two zero, seven nine four six, zero nine five eight."),
            ("Call (555) 123-4567 now", "Call five five five, one two three, four five six seven now"),
            ("Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
            ("Your code is 4711.", "Your code is four seven one one."),
            ("PIN: 0042", "PIN: zero zero four two"),
            ("Booking XK4829 is fine.", "Booking X K four eight two nine is fine."),
            ("Your reference is AB-12-CD.", "Your reference is A B, one two, C D."),
            ("Account 12345678", "Account one two three four five six seven eight"),
            ("Card 4111 1111 1111 1111.", "Card four one one one, one one one one, one one one one, one one one one."),
            ("It costs 1500 dollars.", "It costs 1500 dollars."),
            ("In 2026 we had 1,234,567 visitors.", "In 2026 we had 1,234,567 visitors."),
            ("About 5000000 people", "About 5000000 people"),
            ("Version 3.14.2 of Node.js", "Version 3.14.2 of Node.js"),
            ("**Great!** 🎉 We *are* open.", "Great! We are open."),
            ("COVID19, MP3, 4K and A4", "COVID19, MP3, 4K and A4"),
            ("See [our shop](https://shop.example.com/a).", "See our shop."),
            ("If a < b then 3 > 2.", "If a < b then 3 > 2."),
            ("I love it <3", "I love it <3"),
            ("AT&T and R&amp;D", "AT&T and R&D"),
            ("On 11/22/2026 at 3:30 pm", "On 11/22/2026 at 3:30 pm"),
        ],
    );
    table("off", "en", &[("**Hi** code 4711 😀 x@y.com", "**Hi** code 4711 😀 x@y.com")]);
}

#[test]
fn everything_is_spoken_in_english() {
    table(
        "words",
        "en-US",
        &[
            ("It is 3:30 pm.", "It is three thirty p m."),
            ("Come at 9:00 a.m. sharp.", "Come at nine a m sharp."),
            ("Come at 9:05.", "Come at nine oh five."),
            ("Open until 18:00.", "Open until six p m."),
            ("At 7:00, then.", "At seven o'clock, then."),
            ("At 25:00 never", "At 25:00 never"),
            ("On 11/22/2026.", "On November twenty-second, twenty twenty-six."),
            ("On 2026-01-03 we met.", "On January third, twenty twenty-six we met."),
            ("November 22, 2026, at noon", "November twenty-second, twenty twenty-six, at noon"),
            ("on May 1st", "on May first"),
            ("the 3 March 1999 edition", "the March third, nineteen ninety-nine edition"),
            ("May I help?", "May I help?"),
            ("It costs $3.50.", "It costs three dollars and fifty cents."),
            ("$1", "one dollar"),
            ("£0.99", "ninety-nine pence"),
            ("20 EUR", "twenty euros"),
            ("€1,234.05!", "one thousand two hundred thirty-four euros and five cents!"),
            ("$3.5 million was paid", "three point five million dollars was paid"),
            ("12.5% off", "twelve point five percent off"),
            ("5 % more", "five percent more"),
            ("the 3rd floor", "the third floor"),
            ("the 21st and the 12th", "the twenty-first and the twelfth"),
            ("the 2th", "the 2th"),
            ("5 km away", "five kilometers away"),
            ("1 kg", "one kilogram"),
            ("20°C outside", "twenty degrees Celsius outside"),
            ("100 km/h", "one hundred kilometers per hour"),
            ("-5°C", "minus five degrees Celsius"),
            ("1,234,567 people", "one million two hundred thirty-four thousand five hundred sixty-seven people"),
            ("3.14", "three point one four"),
            ("42 apples", "forty-two apples"),
            ("in 1999", "in nineteen ninety-nine"),
            ("since 2005.", "since two thousand five."),
            ("room 1408", "room 1408"),
            ("Dr. Smith, e.g. today", "Doctor Smith, for example today"),
            ("the dr. is in", "the dr. is in"),
            ("apples, pears, etc.", "apples, pears, et cetera."),
            ("you & me", "you and me"),
            ("Your code is 4711.", "Your code is four seven one one."),
        ],
    );
    table(
        "words",
        "en-GB",
        &[("On 11/12/2026.", "On 11/12/2026."), ("On 22/11/2026.", "On November twenty-second, twenty twenty-six.")],
    );
}

#[test]
fn everything_is_spoken_in_german() {
    table(
        "words",
        "de-AT",
        &[
            ("Es ist 15:30 Uhr.", "Es ist fünfzehn Uhr dreißig."),
            ("Um 9:00 Uhr", "Um neun Uhr"),
            ("um 1:00 Uhr", "um ein Uhr"),
            ("von 8:15 bis 18:45", "von acht Uhr fünfzehn bis achtzehn Uhr fünfundvierzig"),
            ("Am 22.11.2026 um", "Am zweiundzwanzigsten November zweitausendsechsundzwanzig um"),
            ("der 3. Oktober", "der dritte Oktober"),
            ("am 1. Mai 1989", "am ersten Mai neunzehnhundertneunundachtzig"),
            ("vom 7. Juli", "vom siebten Juli"),
            ("3,50 €", "drei Euro fünfzig"),
            ("€ 5", "€ fünf"),
            ("1 €", "ein Euro"),
            ("1.234,56 EUR", "eintausendzweihundertvierunddreißig Euro sechsundfünfzig"),
            ("0,99 €", "neunundneunzig Cent"),
            ("12,5 %", "zwölf Komma fünf Prozent"),
            ("1 % mehr", "ein Prozent mehr"),
            ("100%", "einhundert Prozent"),
            ("5 km", "fünf Kilometer"),
            ("20 °C", "zwanzig Grad Celsius"),
            ("120 km/h.", "einhundertzwanzig Kilometer pro Stunde."),
            ("1.000.000 Menschen", "eine Million Menschen"),
            ("42 Leute", "zweiundvierzig Leute"),
            ("1 Mann", "1 Mann"),
            ("3,14", "drei Komma eins vier"),
            ("seit 1999", "seit neunzehnhundertneunundneunzig"),
            ("im Jahr 2026", "im Jahr zweitausendsechsundzwanzig"),
            ("z. B. morgen", "zum Beispiel morgen"),
            ("z.B. morgen", "zum Beispiel morgen"),
            ("d.h. ja", "das heißt ja"),
            ("Dr. Maier", "Doktor Maier"),
            ("Hr. Huber und Fr. Klein", "Herr Huber und Frau Klein"),
            ("ca. 20 Minuten", "circa zwanzig Minuten"),
            ("Äpfel usw.", "Äpfel und so weiter."),
            ("Mail an anna-b@example.at", "Mail an anna Minus b ät example Punkt at"),
            ("www.example.de/hilfe", "www Punkt example Punkt de Schrägstrich hilfe"),
            ("+43 1 5880", "plus vier drei, eins, fünf acht acht null"),
            ("0170 1234567", "null eins sieben null, eins zwei drei vier fünf sechs sieben"),
            ("Kundennummer 4711", "Kundennummer vier sieben eins eins"),
            ("Am 24.12. ist zu", "Am 24.12. ist zu"),
        ],
    );
}

#[test]
fn everything_is_spoken_in_further_languages() {
    table(
        "words",
        "fr-FR",
        &[
            ("à 15h30", "à quinze heures trente"),
            ("à 1:00", "à une heure"),
            ("à 21h", "à vingt et une heures"),
            ("le 1 mai 2026", "le premier mai deux mille vingt-six"),
            ("le 22/11/2026", "le vingt-deux novembre deux mille vingt-six"),
            ("3,50 €", "trois euros cinquante"),
            ("80 €", "quatre-vingts euros"),
            ("2 %", "deux pour cent"),
            ("12,5 %", "douze virgule cinq pour cent"),
            ("au 2e étage", "au deuxième étage"),
            ("5 km", "cinq kilomètres"),
            ("Mme Petit et M. Roux", "Madame Petit et Monsieur Roux"),
            ("01 23 45 67 89", "zéro un, deux trois, quatre cinq, six sept, huit neuf"),
            ("a.b@example.fr", "a point b arobase example point fr"),
        ],
    );
    table(
        "words",
        "es-ES",
        &[
            ("a las 15:30", "a las quince treinta"),
            ("a la 1:00", "a la una hora"),
            ("el 1 de mayo de 2026", "el uno de mayo de dos mil veintiséis"),
            ("el 22/11/2026", "el veintidós de noviembre de dos mil veintiséis"),
            ("3,50 €", "tres euros con cincuenta"),
            ("21 €", "veintiún euros"),
            ("12 %", "doce por ciento"),
            ("5 km", "cinco kilómetros"),
            ("el 3º", "el tercero"),
            ("Sr. Gómez", "señor Gómez"),
            ("ana@ejemplo.es", "ana arroba ejemplo punto es"),
            ("código 4711", "código cuatro siete uno uno"),
        ],
    );
    table(
        "words",
        "it",
        &[
            ("alle 15:30", "alle quindici e trenta"),
            ("all' 1:00", "all' una"),
            ("il 1 maggio 2026", "il primo maggio duemilaventisei"),
            ("il 22/11/2026", "il ventidue novembre duemilaventisei"),
            ("3,50 €", "tre euro e cinquanta"),
            ("1 €", "un euro"),
            ("12 %", "dodici per cento"),
            ("5 km", "cinque chilometri"),
            ("il 3º", "il terzo"),
            ("Sig. Rossi", "signor Rossi"),
            ("luca@esempio.it", "luca chiocciola esempio punto it"),
        ],
    );
    table(
        "words",
        "pt-BR",
        &[
            ("às 15:30", "às quinze e trinta"),
            ("às 2:00", "às duas horas"),
            ("1 de maio de 2026", "primeiro de maio de dois mil e vinte e seis"),
            ("R$ 5", "R$ cinco"),
            ("R$3,50", "três reais e cinquenta"),
            ("16 €", "dezesseis euros"),
            ("12 %", "doze por cento"),
            ("5 km", "cinco quilômetros"),
            ("a 2ª vez", "a segunda vez"),
            ("Sra. Lima", "senhora Lima"),
            ("rui@exemplo.com.br", "rui arroba exemplo ponto com ponto br"),
        ],
    );
    table(
        "words",
        "nl",
        &[
            ("om 15:30 uur", "om vijftien uur dertig"),
            ("om 9:00", "om negen uur"),
            ("op 22 november 2026", "op tweeëntwintig november tweeduizend zesentwintig"),
            ("3,50 €", "drie euro vijftig"),
            ("12,5 %", "twaalf komma vijf procent"),
            ("5 km", "vijf kilometer"),
            ("de 3e", "de derde"),
            ("de 21ste keer", "de eenentwintigste keer"),
            ("bijv. morgen", "bijvoorbeeld morgen"),
            ("jan@voorbeeld.nl", "jan apenstaartje voorbeeld punt nl"),
            ("postcode 1234", "postcode een twee drie vier"),
        ],
    );
    // Nothing is known of these: signs are read all the same, numbers are left.
    table(
        "words",
        "sv",
        &[("Ring 0701234567 kl 15:30", "Ring 0 7 0 1 2 3 4 5 6 7 kl 15:30"), ("a@b.se", "a at b dot se")],
    );
}

#[test]
fn ssml_is_spoken_as_it_says() {
    let rules = rules("{}");
    let rows = [
        ("<speak>Hello.<break time=\"500ms\"/>How are you?</speak>", "Hello. [500] How are you?"),
        ("One<break/><break strength='x-strong'/> two", "One [1400] two"),
        ("The <sub alias=\"World Health Organization\">WHO</sub>, yes", "The World Health Organization, yes"),
        ("<say-as interpret-as=\"characters\">AB1</say-as>!", "A B one!"),
        ("<say-as interpret-as=\"telephone\">555 12</say-as>", "five five five one two"),
        ("<say-as interpret-as='cardinal'>12</say-as> eggs", "twelve eggs"),
        ("<say-as interpret-as='ordinal'>3rd</say-as>", "third"),
        ("<say-as interpret-as='date' format='ymd'>2026-11-22</say-as>", "November twenty-second, twenty twenty-six"),
        ("We say <lang xml:lang=\"de\">Guten Tag</lang> there.", "We say de:Guten Tag there."),
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("<emphasis level='strong'>Now</emphasis> <prosody rate='slow'>slow</prosody>", "Now slow"),
        ("<b>Bold</b> and <amazon:effect name=\"w\">soft</amazon:effect>", "Bold and soft"),
        ("<speak><unknown>kept</unknown></speak> <placeholder>", "kept <placeholder>"),
        ("a <!-- not this --> b <?xml version='1.0'?>c", "a b c"),
        ("x<y and y>z", "x<y and y>z"),
        ("half a tag <break time=", "half a tag <break time="),
        ("</lang></speak>stray", "stray"),
        ("<phoneme alphabet='ipa' ph='x'>tomato</phoneme>", "tomato"),
    ];
    for (written, expected) in rows {
        assert_eq!(spoken(&rules, written, "en"), expected, "{written}");
    }
    assert_eq!(
        written("<speak>Hello.<break time=\"1s\"/>You &amp; <sub alias='x'>me</sub></speak>"),
        "Hello. You & me"
    );
    let pieces = rules.render("<speak>Say <sub alias=\"doctor\">Dr</sub> no</speak>", "en");
    let [Piece::Words(words)] = &pieces[..] else { panic!("{pieces:?}") };
    assert_eq!(words.written, "Say Dr no");
}

#[test]
fn a_synthesiser_of_ssml_gets_what_the_others_cannot_say() {
    let rules = rules(r#"{"ssml":["v"],"dictionary":[{"written":"Nguyen","ipa":"ŋwiən"}]}"#);
    let document = |text: &str| match rules.render(text, "en").pop() {
        Some(Piece::Words(words)) => words.spoken.and_then(|spoken| spoken.ssml),
        _ => None,
    };
    assert_eq!(
        document("<prosody rate=\"slow\" onclick=\"x\">A & B</prosody> now").as_deref(),
        Some("<speak><prosody rate=\"slow\">A &amp; B</prosody> now</speak>")
    );
    assert_eq!(
        document("Ask Nguyen.").as_deref(),
        Some("<speak>Ask <phoneme alphabet=\"ipa\" ph=\"ŋwiən\">Nguyen.</phoneme></speak>")
    );
    assert_eq!(document("Nothing special."), None);
    assert_eq!(
        document("<emphasis>One<break/>two</emphasis>").as_deref(),
        Some("<speak><emphasis>two</emphasis></speak>")
    );
}

#[test]
fn the_dictionary_takes_the_longest_entry_in_its_language() {
    let entry = |written: &str, spoken: &str| Pronunciation {
        written: written.to_owned(),
        spoken: spoken.to_owned(),
        ipa: String::new(),
        language: String::new(),
        whole_word: true,
        case_sensitive: false,
    };
    let policy = SpeechPolicy {
        dictionary: vec![
            entry("St", "Saint"),
            entry("St Mary's", "Saint Maries"),
            Pronunciation { language: "de".to_owned(), ..entry("GmbH", "Geh Em Be Ha") },
            Pronunciation { case_sensitive: true, ..entry("IT", "eye tea") },
            Pronunciation { whole_word: false, ..entry("trunkline", "trunk line") },
        ],
        ..SpeechPolicy::default()
    };
    let rules = Rules::new(&policy);
    let rows = [
        ("st mary's hospital on St James", "en", "Saint Maries hospital on Saint James"),
        ("Stop at (ST).", "en", "Stop at (Saint)."),
        ("Eine GmbH-Frage", "de-AT", "Eine Geh Em Be Ha-Frage"),
        ("A GmbH", "en", "A GmbH"),
        ("It is IT.", "en", "It is eye tea."),
        ("myTrunklinebox", "en", "mytrunk linebox"),
        ("code 4711 at St", "en", "code four seven one one at Saint"),
    ];
    for (written, language, expected) in rows {
        assert_eq!(spoken(&rules, written, language), expected, "{written}");
    }
}

#[test]
fn what_is_written_and_what_is_spoken_end_together() {
    let rules = rules(r#"{"normalize":"words"}"#);
    let text = "**Pay** $3.50 to +1 212 555 0100 or mail a@b.com today";
    let Some(Piece::Words(words)) = rules.render(text, "en").pop() else { panic!() };
    let spoken = words.spoken.unwrap();
    let mut ends: Vec<(&str, String)> = Vec::new();
    for share in 0..=1000 {
        let (written, said) = spoken.cut(share);
        let end = (&words.written[..written], spoken.text[..said].to_owned());
        if ends.last() != Some(&end) {
            ends.push(end);
        }
    }
    let wrote: Vec<&str> = ends.iter().map(|(written, _)| *written).collect();
    assert_eq!(
        wrote[..6],
        ["", "**Pay", "**Pay** $3.50", "**Pay** $3.50 to", "**Pay** $3.50 to +1", "**Pay** $3.50 to +1 212"]
    );
    assert_eq!(ends[2].1, "Pay three dollars and fifty cents");
    assert_eq!(ends.last().unwrap().0, text);
    let rest = spoken.rest(spoken.cut(400));
    assert!(spoken.text.ends_with(&rest.text));
    assert_eq!(rest.cut(1000).1, rest.text.len());
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

/// Whether the letters of one text are among those of another, in order.
fn is_within(some: &str, all: &str) -> bool {
    let mut all = all.chars();
    some.chars().all(|letter| all.any(|other| other == letter))
}

proptest! {
    #[test]
    fn any_text_is_spoken_and_nothing_panics(text in ".{0,300}", language in "(en|de|fr|es|it|pt|nl|zz)", full: bool) {
        let normalize = if full { "words" } else { "signs" };
        let rules = rules(&format!(r#"{{"normalize":"{normalize}","ssml":["v"],"dictionary":[{{"written":"a","spoken":"b"}}]}}"#));
        for piece in rules.render(&text, &language) {
            let Piece::Words(words) = piece else { continue };
            let Some(spoken) = words.spoken else { continue };
            for share in [0, 1, 333, 999, 1000] {
                let (written, said) = spoken.cut(share);
                prop_assert!(words.written.is_char_boundary(written) && spoken.text.is_char_boundary(said));
                let _ = spoken.rest((written, said));
            }
            prop_assert!(spoken.marks.is_sorted());
        }
        let _ = written(&text);
    }

    #[test]
    fn every_letter_is_spoken_in_order(
        words in proptest::collection::vec("([a-z]{1,9}|[0-9]{1,9}|[<>*_`~|#@+(.,/:%$€-]{1,3}|[A-Z]{1,3}[0-9]{1,5}|<b>|</s>|&amp;)", 0..20),
        language in "(en|de|fr|es|it|pt|nl|zz)",
    ) {
        let text = words.join(" ");
        let rules = rules("{}");
        let all = spoken(&rules, &text, &language);
        let wrote = written(&text);
        prop_assert!(is_within(&letters(&wrote), &letters(&all)), "{wrote} as {all}");
    }

    #[test]
    fn markup_is_never_lost_with_its_words(text in "[a-z<>/=\"' &;0-9]{0,120}") {
        let (all, wrote) = (spoken(&rules("{}"), &text, "zz"), written(&text));
        prop_assert!(is_within(&letters(&wrote), &letters(&all)), "{wrote} as {all}");
    }
}
