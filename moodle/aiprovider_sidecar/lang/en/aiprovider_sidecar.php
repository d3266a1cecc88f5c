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
 * Strings in English.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['courses'] = 'Courses to summarise at night';
$string['courses_help'] = 'A scheduled task makes summaries of the pages of these courses at night, so that a class\'s first click on a page costs no call. The task is off until it is enabled on the page Scheduled tasks, and the sidecar needs jobs (REDIS_URL) with a worker.';
$string['courses_ids_help'] = 'The ids of courses, separated by commas. A scheduled task makes summaries of their pages at night, so that a class\'s first click on a page costs no call. The task is off until it is enabled on the page Scheduled tasks, and the sidecar needs jobs (REDIS_URL) with a worker.';
$string['deadline'] = 'Seconds for an answer';
$string['deadline_help'] = 'The sidecar answers within this time, or says that it cannot. Its own limit, REQUEST_TIMEOUT, counts where it is shorter.';
$string['deadlineinvalid'] = 'A number from 1 to {$a}.';
$string['enableglobalratelimit'] = 'Limit the requests of the site in an hour';
$string['enableuserratelimit'] = 'Limit the requests of each user in an hour';
$string['error:bad_answer'] = 'The AI service sent an answer that cannot be read. Please tell your administrator.';
$string['error:empty_response'] = 'The AI had no answer to this. Please try again, or with another text.';
$string['error:internal'] = 'The AI service had a fault. Please try again later.';
$string['error:invalid_json'] = 'The AI service could not read the request. Please tell your administrator.';
$string['error:invalid_request'] = 'The AI service cannot work with this text. Please try another one.';
$string['error:jobs_unavailable'] = 'The sidecar cannot take jobs: they are not switched on (--jobs, or REDIS_URL and a worker), or their Redis is not reached.';
$string['error:limited'] = 'The limit for AI requests is reached. Please try again later.';
$string['error:no_answer'] = 'The AI service did not answer in time. Please try again.';
$string['error:overloaded'] = 'Many people are using the AI right now. Please try again in a moment.';
$string['error:rate_limited'] = 'The AI is at its limit right now. Please try again in a few minutes.';
$string['error:shutting_down'] = 'The AI service is restarting. Please try again in a moment.';
$string['error:timeout'] = 'The answer was not ready in time. Please try again.';
$string['error:too_large'] = 'This text is too long for the AI. Please try a shorter one.';
$string['error:unauthorized'] = 'The AI service did not accept this site. Please tell your administrator.';
$string['error:unknown_action'] = 'The AI service cannot do this. Please tell your administrator.';
$string['error:unreachable'] = 'The AI service is not running. Please try again in a moment.';
$string['error:unsupported_media_type'] = 'The AI service could not read the request. Please tell your administrator.';
$string['error:upstream_auth'] = 'The AI did not accept the key of this site. Please tell your administrator.';
$string['error:upstream_error'] = 'The AI had a fault. Please try again later.';
$string['error:upstream_unreachable'] = 'The AI cannot be reached right now. Please try again later.';
$string['error:wrong_address'] = 'The AI service is set up with a wrong address. Please tell your administrator.';
$string['errortitle'] = 'No answer from the AI';
$string['globalratelimit'] = 'Requests of the site in an hour';
$string['jobsfailed'] = 'The sidecar took no summaries for the night: {$a}';
$string['pluginname'] = 'OpenAI sidecar';
$string['privacy:metadata:pages'] = 'Summaries of pages of courses that an administrator chose. They are deleted with the page or the course.';
$string['privacy:metadata:pages:contextid'] = 'The page.';
$string['privacy:metadata:pages:summary'] = 'The summary of the page.';
$string['privacy:metadata:sidecar'] = 'Texts are sent to the sidecar, a service of this site, which passes them on to the AI provider that the site has chosen.';
$string['privacy:metadata:sidecar:prompttext'] = 'The text that the AI works on.';
$string['privacy:metadata:sidecar:user'] = 'A pseudonym of the user, made from the ids of site and user, by which the sidecar gives each user a turn.';
$string['releasesession'] = 'Release the user\'s session during a call';
$string['releasesession_help'] = 'Without this, all other pages of the same user wait until the AI has answered. It is done only in requests that write nothing to the session afterwards.';
$string['requestid'] = '(Request {$a})';
$string['status'] = 'State';
$string['status:draining'] = 'The sidecar is reached and is stopping.';
$string['status:noaddress'] = 'No address is set.';
$string['status:nosidecar'] = 'Something else than a sidecar answers at {$a}.';
$string['status:ok'] = 'The sidecar is reached. Answers come from: {$a}';
$string['status:providerdown'] = 'The sidecar is reached, but the AI provider behind it does not answer at the moment: {$a}';
$string['status:token'] = 'The sidecar is reached, but does not accept the token.';
$string['status:unreachable'] = 'No sidecar is reached at {$a}. It must be running, and the address must be right as seen from the machine of Moodle.';
$string['summarisepages'] = 'Summaries of pages, made at night';
$string['token'] = 'The sidecar\'s token';
$string['token_help'] = 'The value of SIDECAR_TOKEN in the settings of the sidecar. Blank if the sidecar has none.';
$string['url'] = 'Address of the sidecar';
$string['url_help'] = 'As seen from the machine of Moodle, for example http://127.0.0.1:8081. Nothing in Moodle\'s HTTP security has to be changed: exactly this address is let through.';
$string['urlinvalid'] = 'An address that begins with http:// or https://, without a user, a password or a question mark.';
$string['userratelimit'] = 'Requests of each user in an hour';
