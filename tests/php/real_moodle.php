<?php

// This file is part of openai-moodle-sidecar's tests. It runs inside Moodle and calls its functions, so it is free
// software under the terms of the GNU General Public License as published by the Free Software Foundation, either
// version 3 of the License, or (at your option) any later version; the rest of the repository is under Apache-2.0.
//
// Orders of tests/moodle for an installed Moodle: people, a course with pages, core's own OpenAI provider.
//
//   php real_moodle.php /path/of/moodle/config.php ORDER < {"…": …}      prints JSON

declare(strict_types=1);

define('CLI_SCRIPT', true);
require($argv[1]);
require_once($CFG->libdir . '/testing/generator/lib.php');
require_once($CFG->dirroot . '/course/lib.php');

\core\session\manager::set_user(get_admin());
$given = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
$orders = [
    'seed' => seed(...), 'straight' => straight(...), 'stored' => stored(...), 'night' => night(...),
    'without' => without(...),
];
echo json_encode($orders[$argv[2]](...$given), JSON_THROW_ON_ERROR);

/** People who are enrolled in one course, and pages of that course. */
function seed(int $people, array $pages, string $password): array
{
    global $DB;
    $generator = new testing_data_generator();
    $at_once = $DB->start_delegated_transaction();
    $course = $generator->create_course(['fullname' => 'Astronomy', 'shortname' => 'astronomy', 'numsections' => 1]);
    for ($number = 0; $number < $people; $number++) {
        $name = ['username' => "pupil{$number}", 'firstname' => 'Pupil', 'lastname' => "Number {$number}"];
        $user = $generator->create_user([...$name, 'password' => $password, 'email' => "pupil{$number}@example.org"]);
        $generator->enrol_user($user->id, $course->id, 'student');
    }
    $made = [];
    foreach ($pages as $number => $text) {
        $page = $generator->create_module('page', [
            'course' => $course->id, 'name' => 'Page ' . ($number + 1), 'content' => "<p>{$text}</p>",
            'contentformat' => FORMAT_HTML, 'intro' => '',
        ]);
        $made[] = ['module' => (int) $page->cmid, 'context' => context_module::instance($page->cmid)->id];
    }
    $at_once->allow_commit();
    return ['course' => (int) $course->id, 'pages' => $made];
}

/** Core's OpenAI provider pointed at an address, after what is enabled already, with both placements on. */
function straight(string $url, string $key): array
{
    set_config('curlsecurityblockedhosts', '');
    set_config('curlsecurityallowedport', '');
    \core\plugininfo\aiplacement::enable_plugin('courseassist', 1);
    \core\plugininfo\aiplacement::enable_plugin('editor', 1);
    $settings = ['endpoint' => "{$url}/chat/completions", 'model' => 'gpt-4o', 'systeminstruction' => 'Summarise.'];
    if (!method_exists(\core_ai\manager::class, 'create_provider_instance')) {
        set_config('apikey', $key, 'aiprovider_openai');
        foreach (['generate_text', 'summarise_text'] as $action) {
            foreach ($settings as $name => $value) {
                set_config("action_{$action}_{$name}", $value, 'aiprovider_openai');
            }
        }
        \core\plugininfo\aiprovider::enable_plugin('openai', 1);
        return [];
    }
    $actions = [];
    foreach (['generate_text', 'summarise_text', 'explain_text'] as $action) {
        $actions["core_ai\\aiactions\\{$action}"] = ['enabled' => true, 'settings' => $settings];
    }
    \core\di::get(\core_ai\manager::class)->create_provider_instance(
        classname: \aiprovider_openai\provider::class,
        name: 'Straight',
        enabled: true,
        config: ['apikey' => $key],
        actionconfig: $actions,
    );
    return [];
}

/** What Moodle's own register says of the actions since it began: the provider and the outcome of each. */
function stored(): array
{
    global $DB;
    return array_values($DB->get_records('ai_action_register', null, 'id', 'id, provider, success, errorcode, errormessage'));
}

/** The plugin's task switched on, for a course with some of the pages; without pages, for no course. */
function night(int $pages): array
{
    global $DB;
    $courses = [];
    if ($pages > 0) {
        $course = (int) $DB->get_field('course', 'id', ['shortname' => 'astronomy']);
        $all = get_fast_modinfo($course)->get_instances_of('page');
        $late = array_slice(array_map(fn(cm_info $cm): int => (int) $cm->id, array_values($all)), $pages);
        foreach ($late as $module) {
            set_coursemodule_visible($module, 0);
        }
        rebuild_course_cache($course);
        $courses = [$course];
    }
    if (method_exists(\core_ai\manager::class, 'create_provider_instance')) {
        $manager = \core\di::get(\core_ai\manager::class);
        foreach ($manager->get_provider_instances(['provider' => \aiprovider_sidecar\provider::class]) as $instance) {
            $manager->update_provider_instance($instance, config: ['courses' => $courses] + $instance->config);
        }
    } else {
        set_config('courses', implode(',', $courses), 'aiprovider_sidecar');
    }
    $task = \core\task\manager::get_scheduled_task(\aiprovider_sidecar\task\summarise_pages::class);
    $task->set_disabled(false);
    \core\task\manager::configure_scheduled_task($task);
    return [];
}

/** A page deleted, at once and not by the recycle bin's task. */
function without(int $page): array
{
    global $CFG;
    require_once($CFG->dirroot . '/course/lib.php');
    course_delete_module($page);
    return [];
}
