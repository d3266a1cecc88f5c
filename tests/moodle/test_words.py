"""Promises to people who read another language than English: the plugin's sentences are in theirs."""

import pytest

from tests.support.moodle.people import Browsers
from tests.support.moodle.school import School

PERSON = "pupil5"


def speak(school: School, language: str) -> None:
    """Set a person's language; a file of Moodle's pack is enough for Moodle to offer it."""
    pack = school.site.folder / "data/lang" / language
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "langconfig.php").write_text(f"<?php\n$string['thislanguage'] = '{language}';\n")
    school.site.database.query(
        f"UPDATE mdl_user SET lang = '{language}' WHERE username = '{PERSON}'", database="moodle"
    )


@pytest.mark.parametrize(
    ("language", "title", "sentence"),
    [
        ("de", "Keine Antwort von der KI", "Der KI-Dienst läuft nicht."),
        ("fr", "Pas de réponse de l\u2019IA", "Le service d\u2019IA ne fonctionne pas."),
        ("es", "Sin respuesta de la IA", "El servicio de IA no está en marcha."),
        ("it", "No answer from the AI", "The AI service is not running."),
    ],
    ids=["de", "fr", "es", "it"],
)
async def test_a_person_reads_the_sentence_in_their_language(
    plugin: School, opened: Browsers, language: str, title: str, sentence: str
) -> None:
    """Or in English, where the plugin has no other; titles came with Moodle 5.1."""
    speak(plugin, language)
    summary = await opened.summarise(await opened.log_in(PERSON), 0, "The moon has no sea. ")
    assert sentence in summary.words, summary
    assert title in summary.words or plugin.site.branch < 501, summary
