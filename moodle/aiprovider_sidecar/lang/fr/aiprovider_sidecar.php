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
 * Strings in French.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['courses'] = 'Cours à résumer la nuit';
$string['courses_help'] = 'Une tâche programmée résume la nuit les pages de ces cours, pour que le premier clic d’une classe ne coûte aucun appel. La tâche est désactivée jusqu’à ce qu’elle soit activée sur la page Tâches programmées, et le sidecar a besoin des travaux (REDIS_URL) avec un worker.';
$string['courses_ids_help'] = 'Les identifiants des cours, séparés par des virgules. Une tâche programmée résume la nuit leurs pages, pour que le premier clic d’une classe ne coûte aucun appel. La tâche est désactivée jusqu’à ce qu’elle soit activée sur la page Tâches programmées, et le sidecar a besoin des travaux (REDIS_URL) avec un worker.';
$string['deadline'] = 'Secondes pour une réponse';
$string['deadline_help'] = 'Le sidecar répond dans ce délai, ou indique qu’il ne le peut pas. Sa propre limite, REQUEST_TIMEOUT, s’applique si elle est plus courte.';
$string['deadlineinvalid'] = 'Un nombre de 1 à {$a}.';
$string['enableglobalratelimit'] = 'Limiter les demandes du site par heure';
$string['enableuserratelimit'] = 'Limiter les demandes de chaque utilisateur par heure';
$string['error:bad_answer'] = 'La réponse du service d’IA est illisible. Veuillez prévenir votre administrateur.';
$string['error:empty_response'] = 'L’IA n’a pas trouvé de réponse. Veuillez réessayer, ou essayer un autre texte.';
$string['error:internal'] = 'Le service d’IA a rencontré une erreur. Veuillez réessayer plus tard.';
$string['error:invalid_json'] = 'Le service d’IA n’a pas pu lire la demande. Veuillez prévenir votre administrateur.';
$string['error:invalid_request'] = 'Le service d’IA ne peut pas traiter ce texte. Veuillez en essayer un autre.';
$string['error:jobs_unavailable'] = 'Le sidecar ne peut pas accepter de tâches : elles ne sont pas activées (--jobs, ou REDIS_URL et un worker), ou leur Redis n’est pas joint.';
$string['error:limited'] = 'La limite des demandes à l’IA est atteinte. Veuillez réessayer plus tard.';
$string['error:no_answer'] = 'Le service d’IA n’a pas répondu à temps. Veuillez réessayer.';
$string['error:overloaded'] = 'De nombreuses personnes utilisent l’IA en ce moment. Veuillez réessayer dans un instant.';
$string['error:rate_limited'] = 'L’IA a atteint sa limite. Veuillez réessayer dans quelques minutes.';
$string['error:shutting_down'] = 'Le service d’IA redémarre. Veuillez réessayer dans un instant.';
$string['error:timeout'] = 'La réponse n’était pas prête à temps. Veuillez réessayer.';
$string['error:too_large'] = 'Ce texte est trop long pour l’IA. Veuillez en essayer un plus court.';
$string['error:unauthorized'] = 'Le service d’IA n’a pas accepté ce site. Veuillez prévenir votre administrateur.';
$string['error:unknown_action'] = 'Le service d’IA ne sait pas faire cela. Veuillez prévenir votre administrateur.';
$string['error:unreachable'] = 'Le service d’IA ne fonctionne pas. Veuillez réessayer dans un instant.';
$string['error:unsupported_media_type'] = 'Le service d’IA n’a pas pu lire la demande. Veuillez prévenir votre administrateur.';
$string['error:upstream_auth'] = 'L’IA n’a pas accepté la clé de ce site. Veuillez prévenir votre administrateur.';
$string['error:upstream_error'] = 'L’IA a rencontré une erreur. Veuillez réessayer plus tard.';
$string['error:upstream_unreachable'] = 'L’IA est injoignable pour le moment. Veuillez réessayer plus tard.';
$string['error:wrong_address'] = 'L’adresse du service d’IA est mal configurée. Veuillez prévenir votre administrateur.';
$string['errortitle'] = 'Pas de réponse de l’IA';
$string['globalratelimit'] = 'Demandes du site par heure';
$string['jobsfailed'] = 'Le sidecar n’a pas accepté les résumés de la nuit : {$a}';
$string['pluginname'] = 'Sidecar OpenAI';
$string['privacy:metadata:pages'] = 'Résumés des pages des cours choisis par un administrateur. Ils sont supprimés avec la page ou le cours.';
$string['privacy:metadata:pages:contextid'] = 'La page.';
$string['privacy:metadata:pages:summary'] = 'Le résumé de la page.';
$string['privacy:metadata:sidecar'] = 'Les textes sont envoyés au sidecar, un service de ce site, qui les transmet au fournisseur d’IA choisi par le site.';
$string['privacy:metadata:sidecar:prompttext'] = 'Le texte sur lequel l’IA travaille.';
$string['privacy:metadata:sidecar:user'] = 'Un pseudonyme de l’utilisateur, formé à partir des identifiants du site et de l’utilisateur, par lequel le sidecar donne son tour à chacun.';
$string['releasesession'] = 'Libérer la session de l’utilisateur pendant un appel';
$string['releasesession_help'] = 'Sans ce réglage, toutes les autres pages du même utilisateur attendent la réponse de l’IA. La session n’est libérée que si la requête n’y écrit plus rien ensuite.';
$string['requestid'] = '(Demande {$a})';
$string['status'] = 'État';
$string['status:draining'] = 'Le sidecar est joint et s’arrête.';
$string['status:noaddress'] = 'Aucune adresse n’est définie.';
$string['status:nosidecar'] = 'Autre chose qu’un sidecar répond à l’adresse {$a}.';
$string['status:ok'] = 'Le sidecar est joint. Les réponses viennent de : {$a}';
$string['status:providerdown'] = 'Le sidecar est joint, mais le fournisseur d’IA derrière lui ne répond pas pour le moment : {$a}';
$string['status:token'] = 'Le sidecar est joint, mais n’accepte pas le jeton.';
$string['status:unreachable'] = 'Aucun sidecar n’est joint à l’adresse {$a}. Il doit être démarré, et l’adresse doit être juste vue de la machine de Moodle.';
$string['summarisepages'] = 'Résumés de pages, faits la nuit';
$string['token'] = 'Jeton du sidecar';
$string['token_help'] = 'La valeur de SIDECAR_TOKEN dans les réglages du sidecar. Vide si le sidecar n’en a pas.';
$string['url'] = 'Adresse du sidecar';
$string['url_help'] = 'Vue de la machine de Moodle, par exemple http://127.0.0.1:8081. Rien n’est à changer dans la sécurité HTTP de Moodle : exactement cette adresse est autorisée.';
$string['urlinvalid'] = 'Une adresse qui commence par http:// ou https://, sans utilisateur, mot de passe ni point d’interrogation.';
$string['userratelimit'] = 'Demandes de chaque utilisateur par heure';
