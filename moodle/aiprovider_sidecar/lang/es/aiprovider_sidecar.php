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
 * Strings in Spanish.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */

defined('MOODLE_INTERNAL') || die();

$string['courses'] = 'Cursos que se resumen por la noche';
$string['courses_help'] = 'Una tarea programada resume por la noche las páginas de estos cursos, para que el primer clic de una clase no cueste ninguna llamada. La tarea está desactivada hasta que se active en la página Tareas programadas, y el sidecar necesita trabajos (REDIS_URL) con un worker.';
$string['courses_ids_help'] = 'Los identificadores de los cursos, separados por comas. Una tarea programada resume por la noche sus páginas, para que el primer clic de una clase no cueste ninguna llamada. La tarea está desactivada hasta que se active en la página Tareas programadas, y el sidecar necesita trabajos (REDIS_URL) con un worker.';
$string['deadline'] = 'Segundos para una respuesta';
$string['deadline_help'] = 'El sidecar responde en este tiempo, o dice que no puede. Su propio límite, REQUEST_TIMEOUT, vale si es más corto.';
$string['deadlineinvalid'] = 'Un número de 1 a {$a}.';
$string['enableglobalratelimit'] = 'Limitar las peticiones del sitio por hora';
$string['enableuserratelimit'] = 'Limitar las peticiones de cada usuario por hora';
$string['error:bad_answer'] = 'La respuesta del servicio de IA no se puede leer. Avise a su administrador.';
$string['error:empty_response'] = 'La IA no tiene respuesta para esto. Inténtelo de nuevo, o con otro texto.';
$string['error:internal'] = 'El servicio de IA ha tenido un fallo. Inténtelo más tarde.';
$string['error:invalid_json'] = 'El servicio de IA no pudo leer la petición. Avise a su administrador.';
$string['error:invalid_request'] = 'El servicio de IA no puede trabajar con este texto. Inténtelo con otro.';
$string['error:jobs_unavailable'] = 'El sidecar no puede aceptar trabajos: no están activados (--jobs, o REDIS_URL y un worker), o no se llega a su Redis.';
$string['error:limited'] = 'Se ha alcanzado el límite de peticiones a la IA. Inténtelo más tarde.';
$string['error:no_answer'] = 'El servicio de IA no respondió a tiempo. Inténtelo de nuevo.';
$string['error:overloaded'] = 'Muchas personas están usando la IA ahora mismo. Inténtelo de nuevo en un momento.';
$string['error:rate_limited'] = 'La IA ha llegado a su límite. Inténtelo de nuevo en unos minutos.';
$string['error:shutting_down'] = 'El servicio de IA se está reiniciando. Inténtelo de nuevo en un momento.';
$string['error:timeout'] = 'La respuesta no estuvo lista a tiempo. Inténtelo de nuevo.';
$string['error:too_large'] = 'Este texto es demasiado largo para la IA. Inténtelo con uno más corto.';
$string['error:unauthorized'] = 'El servicio de IA no aceptó este sitio. Avise a su administrador.';
$string['error:unknown_action'] = 'El servicio de IA no puede hacer esto. Avise a su administrador.';
$string['error:unreachable'] = 'El servicio de IA no está en marcha. Inténtelo de nuevo en un momento.';
$string['error:unsupported_media_type'] = 'El servicio de IA no pudo leer la petición. Avise a su administrador.';
$string['error:upstream_auth'] = 'La IA no aceptó la clave de este sitio. Avise a su administrador.';
$string['error:upstream_error'] = 'La IA ha tenido un fallo. Inténtelo más tarde.';
$string['error:upstream_unreachable'] = 'No se puede contactar con la IA en este momento. Inténtelo más tarde.';
$string['error:wrong_address'] = 'La dirección del servicio de IA está mal configurada. Avise a su administrador.';
$string['errortitle'] = 'Sin respuesta de la IA';
$string['globalratelimit'] = 'Peticiones del sitio por hora';
$string['jobsfailed'] = 'El sidecar no aceptó los resúmenes de la noche: {$a}';
$string['pluginname'] = 'Sidecar de OpenAI';
$string['privacy:metadata:pages'] = 'Resúmenes de páginas de los cursos que eligió un administrador. Se borran con la página o el curso.';
$string['privacy:metadata:pages:contextid'] = 'La página.';
$string['privacy:metadata:pages:summary'] = 'El resumen de la página.';
$string['privacy:metadata:sidecar'] = 'Los textos se envían al sidecar, un servicio de este sitio, que los pasa al proveedor de IA que el sitio ha elegido.';
$string['privacy:metadata:sidecar:prompttext'] = 'El texto con el que trabaja la IA.';
$string['privacy:metadata:sidecar:user'] = 'Un seudónimo del usuario, formado con los identificadores del sitio y del usuario, con el que el sidecar da su turno a cada uno.';
$string['releasesession'] = 'Liberar la sesión del usuario durante una llamada';
$string['releasesession_help'] = 'Sin este ajuste, todas las demás páginas del mismo usuario esperan hasta que la IA responda. Solo se libera cuando la petición no escribe nada en la sesión después.';
$string['requestid'] = '(Petición {$a})';
$string['status'] = 'Estado';
$string['status:draining'] = 'Se ha llegado al sidecar, que se está deteniendo.';
$string['status:noaddress'] = 'No hay ninguna dirección.';
$string['status:nosidecar'] = 'En {$a} responde algo que no es un sidecar.';
$string['status:ok'] = 'Se ha llegado al sidecar. Las respuestas vienen de: {$a}';
$string['status:providerdown'] = 'Se ha llegado al sidecar, pero el proveedor de IA que hay detrás no responde en este momento: {$a}';
$string['status:token'] = 'Se ha llegado al sidecar, pero no acepta el token.';
$string['status:unreachable'] = 'No se llega a ningún sidecar en {$a}. Debe estar en marcha, y la dirección debe ser correcta vista desde la máquina de Moodle.';
$string['summarisepages'] = 'Resúmenes de páginas hechos por la noche';
$string['token'] = 'Token del sidecar';
$string['token_help'] = 'El valor de SIDECAR_TOKEN en los ajustes del sidecar. En blanco si el sidecar no tiene ninguno.';
$string['url'] = 'Dirección del sidecar';
$string['url_help'] = 'Vista desde la máquina de Moodle, por ejemplo http://127.0.0.1:8081. No hay que cambiar nada en la seguridad HTTP de Moodle: se deja pasar exactamente esta dirección.';
$string['urlinvalid'] = 'Una dirección que empieza por http:// o https://, sin usuario, contraseña ni signo de interrogación.';
$string['userratelimit'] = 'Peticiones de cada usuario por hora';
