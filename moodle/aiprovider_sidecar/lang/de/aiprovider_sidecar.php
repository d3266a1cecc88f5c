<?php
// This file is part of Moodle - https://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <https://www.gnu.org/licenses/>.

/**
 * Strings in German.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['courses'] = 'Kurse für nächtliche Zusammenfassungen';
$string['courses_help'] = 'Eine geplante Aufgabe fasst nachts die Textseiten dieser Kurse zusammen, damit der erste Klick einer Klasse keine Anfrage kostet. Die Aufgabe ist aus, bis sie auf der Seite Geplante Aufgaben eingeschaltet wird. Der Sidecar braucht dazu Aufträge (REDIS_URL) und einen Worker.';
$string['courses_ids_help'] = 'Die IDs von Kursen, durch Kommas getrennt. Eine geplante Aufgabe fasst nachts ihre Textseiten zusammen, damit der erste Klick einer Klasse keine Anfrage kostet. Die Aufgabe ist aus, bis sie auf der Seite Geplante Aufgaben eingeschaltet wird. Der Sidecar braucht dazu Aufträge (REDIS_URL) und einen Worker.';
$string['deadline'] = 'Sekunden für eine Antwort';
$string['deadline_help'] = 'In dieser Zeit antwortet der Sidecar oder sagt, dass er es nicht kann. Seine eigene Grenze, REQUEST_TIMEOUT, gilt, wenn sie kürzer ist.';
$string['deadlineinvalid'] = 'Eine Zahl von 1 bis {$a}.';
$string['enableglobalratelimit'] = 'Anfragen der Website je Stunde begrenzen';
$string['enableuserratelimit'] = 'Anfragen je Person und Stunde begrenzen';
$string['error:bad_answer'] = 'Die Antwort des KI-Dienstes ist nicht lesbar. Bitte sagen Sie der Administration Bescheid.';
$string['error:empty_response'] = 'Die KI hatte darauf keine Antwort. Bitte versuchen Sie es noch einmal oder mit einem anderen Text.';
$string['error:internal'] = 'Im KI-Dienst ist ein Fehler aufgetreten. Bitte versuchen Sie es später noch einmal.';
$string['error:invalid_json'] = 'Der KI-Dienst konnte die Anfrage nicht lesen. Bitte sagen Sie der Administration Bescheid.';
$string['error:invalid_request'] = 'Mit diesem Text kann der KI-Dienst nicht arbeiten. Bitte versuchen Sie es mit einem anderen.';
$string['error:jobs_unavailable'] = 'Der Sidecar kann keine Aufträge annehmen: Sie sind nicht eingeschaltet (--jobs, oder REDIS_URL und ein Worker), oder ihr Redis ist nicht erreichbar.';
$string['error:limited'] = 'Die Grenze für KI-Anfragen ist erreicht. Bitte versuchen Sie es später noch einmal.';
$string['error:no_answer'] = 'Der KI-Dienst hat nicht rechtzeitig geantwortet. Bitte versuchen Sie es noch einmal.';
$string['error:overloaded'] = 'Gerade nutzen sehr viele die KI. Bitte versuchen Sie es gleich noch einmal.';
$string['error:rate_limited'] = 'Die KI ist gerade an ihrer Grenze. Bitte versuchen Sie es in einigen Minuten noch einmal.';
$string['error:shutting_down'] = 'Der KI-Dienst startet gerade neu. Bitte versuchen Sie es gleich noch einmal.';
$string['error:timeout'] = 'Die Antwort war nicht rechtzeitig fertig. Bitte versuchen Sie es noch einmal.';
$string['error:too_large'] = 'Dieser Text ist zu lang für die KI. Bitte versuchen Sie es mit einem kürzeren.';
$string['error:unauthorized'] = 'Der KI-Dienst hat diese Website abgewiesen. Bitte sagen Sie der Administration Bescheid.';
$string['error:unknown_action'] = 'Das kann der KI-Dienst nicht. Bitte sagen Sie der Administration Bescheid.';
$string['error:unreachable'] = 'Der KI-Dienst läuft nicht. Bitte versuchen Sie es gleich noch einmal.';
$string['error:unsupported_media_type'] = 'Der KI-Dienst konnte die Anfrage nicht lesen. Bitte sagen Sie der Administration Bescheid.';
$string['error:upstream_auth'] = 'Die KI hat den Schlüssel dieser Website abgewiesen. Bitte sagen Sie der Administration Bescheid.';
$string['error:upstream_error'] = 'Bei der KI ist ein Fehler aufgetreten. Bitte versuchen Sie es später noch einmal.';
$string['error:upstream_unreachable'] = 'Die KI ist gerade nicht erreichbar. Bitte versuchen Sie es später noch einmal.';
$string['error:wrong_address'] = 'Die Adresse des KI-Dienstes ist falsch eingestellt. Bitte sagen Sie der Administration Bescheid.';
$string['errortitle'] = 'Keine Antwort von der KI';
$string['globalratelimit'] = 'Anfragen der Website je Stunde';
$string['jobsfailed'] = 'Der Sidecar hat keine nächtlichen Zusammenfassungen angenommen: {$a}';
$string['pluginname'] = 'OpenAI-Sidecar';
$string['privacy:metadata:pages'] = 'Zusammenfassungen von Textseiten der Kurse, die die Administration ausgewählt hat. Sie werden mit der Textseite oder dem Kurs gelöscht.';
$string['privacy:metadata:pages:contextid'] = 'Die Textseite.';
$string['privacy:metadata:pages:summary'] = 'Die Zusammenfassung der Textseite.';
$string['privacy:metadata:sidecar'] = 'Texte gehen an den Sidecar, einen Dienst dieser Website, der sie an den von der Website gewählten KI-Anbieter weitergibt.';
$string['privacy:metadata:sidecar:prompttext'] = 'Der Text, mit dem die KI arbeitet.';
$string['privacy:metadata:sidecar:user'] = 'Ein Pseudonym der Person, gebildet aus den Kennungen von Website und Person. Damit kommen beim Sidecar alle der Reihe nach dran.';
$string['releasesession'] = 'Die Sitzung während einer Anfrage freigeben';
$string['releasesession_help'] = 'Ohne diese Einstellung warten alle anderen Seiten derselben Person, bis die KI geantwortet hat. Freigegeben wird nur, wenn danach nichts mehr in die Sitzung geschrieben wird.';
$string['requestid'] = '(Anfrage {$a})';
$string['status'] = 'Zustand';
$string['status:draining'] = 'Der Sidecar ist erreichbar und wird gerade beendet.';
$string['status:noaddress'] = 'Es ist keine Adresse eingestellt.';
$string['status:nosidecar'] = 'Unter {$a} antwortet etwas anderes als ein Sidecar.';
$string['status:ok'] = 'Der Sidecar ist erreichbar. Antworten kommen von: {$a}';
$string['status:providerdown'] = 'Der Sidecar ist erreichbar, aber der KI-Anbieter dahinter antwortet im Augenblick nicht: {$a}';
$string['status:token'] = 'Der Sidecar ist erreichbar, nimmt aber das Token nicht an.';
$string['status:unreachable'] = 'Unter {$a} ist kein Sidecar erreichbar. Er muss laufen, und die Adresse muss vom Rechner aus stimmen, auf dem Moodle läuft.';
$string['summarisepages'] = 'Nächtliche Zusammenfassungen von Textseiten';
$string['token'] = 'Token des Sidecars';
$string['token_help'] = 'Der Wert von SIDECAR_TOKEN in den Einstellungen des Sidecars. Leer, wenn der Sidecar keines hat.';
$string['url'] = 'Adresse des Sidecars';
$string['url_help'] = 'Vom Rechner aus gesehen, auf dem Moodle läuft, zum Beispiel http://127.0.0.1:8081. An der HTTP-Sicherheit von Moodle ist nichts zu ändern: Genau diese Adresse wird durchgelassen.';
$string['urlinvalid'] = 'Eine Adresse, die mit http:// oder https:// beginnt, ohne Nutzer, Kennwort und Fragezeichen.';
$string['userratelimit'] = 'Anfragen je Person und Stunde';
