<?php

// Drives the provider plugin with the stand-ins of Moodle's classes, for tests.
//
//   php drive.php SHAPE < {"config": {…}, "do": "actions", "with": …}

declare(strict_types=1);

set_error_handler(static fn (int $level, string $message) => throw new ErrorException($message));
define('SHAPE', $argv[1]);
require __DIR__ . '/standins.php';
require __DIR__ . '/http_client.php';

$task = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);
$came = $task['do']($task['config'], $task['with']);
echo json_encode($came, JSON_THROW_ON_ERROR);

/** The provider as Moodle makes it in this shape. */
function provider(array $config): \core_ai\provider
{
    $GLOBALS['SITE_CONFIG'] = $config;
    return SHAPE === '5' ? new \aiprovider_sidecar\provider($config) : new \aiprovider_sidecar\provider();
}

/** What the provider does about each action, {"action", "text", "userid", "lang"}. */
function actions(array $config, array $calls): array
{
    $client = new \aiprovider_sidecar\local\client(margin: $config['margin'] ?? \aiprovider_sidecar\local\client::MARGIN);
    \core\di::set(\aiprovider_sidecar\local\client::class, isset($config['broken']) ? new stdClass() : $client);
    $provider = provider($config);
    return array_map(static function (array $call) use ($provider): array {
        $GLOBALS['CFG']->lang = $call['lang'] ?? 'en';
        $action = 'core_ai\\aiactions\\' . ($call['action'] ?? 'summarise_text');
        $processor = 'aiprovider_sidecar\\process_' . $action::get_basename();
        $answer = new $processor($provider, new $action(1, $call['userid'] ?? 7, $call['text'] ?? 'Hello'));
        return $answer->process() + ['debugged' => $GLOBALS['DEBUGGED']];
    }, $calls);
}

/** The names of the actions, and whether the provider is set up. */
function offered(array $config, mixed $unused): array
{
    $provider = provider($config);
    return [array_map('basename', strtr_all($provider->get_action_list())), $provider->is_provider_configured()];
}

function strtr_all(array $names): array
{
    return array_map(static fn (string $name): string => strtr($name, '\\', '/'), $names);
}

/** The test line of the settings. */
function status(array $config, mixed $unused): string
{
    return \aiprovider_sidecar\local\status_check::line(\aiprovider_sidecar\local\settings::from_config($config));
}

/** The address that is made of each one written by an administrator. */
function bases(array $config, array $urls): array
{
    return array_map([\aiprovider_sidecar\local\settings::class, 'base_of'], $urls);
}

/** Whether each address is blocked while `allowed` is the one configured. */
function blocked(array $config, array $with): array
{
    $helper = new \aiprovider_sidecar\local\security_helper($with['allowed']);
    return array_map([$helper, 'url_is_blocked'], $with['urls']);
}

/** Whether the session may be released in each request, a script and a body. */
function safe(array $config, array $requests): array
{
    $check = [\aiprovider_sidecar\local\session_lock::class, 'is_safe'];
    return array_map(static fn (array $request): bool => $check(...$request), $requests);
}

/** The strings of each language, and the codes with a sentence. */
function strings(array $config, mixed $unused): array
{
    $all = [];
    foreach (glob(PLUGIN . '/lang/*/aiprovider_sidecar.php') as $file) {
        $string = [];
        require $file;
        $all[basename(dirname($file))] = $string;
    }
    return [$all, \aiprovider_sidecar\local\answer::CODES];
}

/** Whether a text from the browser is that of the page with this content. */
function of_page(array $config, array $pairs): array
{
    require_once __DIR__ . '/pages.php';
    $is = static fn (string $html, string $text): bool => (new \aiprovider_sidecar\local\page_text($html))->is_in($text);
    return array_map(static fn (array $pair): bool => $is(...$pair), $pairs);
}

/**
 * Takes steps with pages, {id: {"course", "content", "visible"}}: ["run"], ["edit", page, content], ["pass", seconds]
 * or ["click", page, text, user]. Returns what became of each step, and the rows at the end.
 */
function nights(array $config, array $with): array
{
    require_once __DIR__ . '/pages.php';
    $pages = [];
    foreach ($with['pages'] as $id => $page) {
        $more = ['id' => $id, 'timemodified' => 1, 'contentformat' => 1, 'revision' => 1];
        $pages[$id] = (object) ($page + $more + ['course' => 1, 'visible' => true]);
    }
    $courses = [1 => (object) ['id' => 1], 2 => (object) ['id' => 2]];
    $tables = ['page' => $pages, 'course' => $courses, 'aiprovider_sidecar_pages' => [], 'ai_action_register' => []];
    $GLOBALS['DB'] = new memory_database($tables);
    $clock = \core\di::get(\core\clock::class);
    $came = [];
    foreach ($with['steps'] as $step) {
        $clock->now++;
        $came[] = step($step, $clock, provider($config));
    }
    return [$came, array_values($GLOBALS['DB']->tables['aiprovider_sidecar_pages'])];
}

function step(array $step, \core\clock $clock, \core_ai\provider $provider): mixed
{
    [$do, $page, $text, $user] = $step + [1 => 0, '', 7];
    $database = $GLOBALS['DB'];
    if ($do === 'run') {
        [$log, $failed] = [[], false];
        try {
            $take = static function (string $line) use (&$log): void {
                $log[] = $line;
            };
            (new \aiprovider_sidecar\local\page_summaries($provider, $take))->run();
        } catch (moodle_exception $e) {
            [$log[], $failed] = [$e->getMessage(), true];
        }
        return ['log' => $log, 'failed' => $failed];
    }
    if ($do === 'click') {
        $action = new \core_ai\aiactions\summarise_text(CONTEXT_PAGES + $page, $user, $text);
        $answer = (new \aiprovider_sidecar\process_summarise_text($provider, $action))->process();
        return $answer['generatedcontent'] ?? $answer['errormessage'];
    }
    match ($do) {
        'edit' => $database->update_record('page', (object) ['id' => $page, 'content' => $text, 'timemodified' => $clock->now]),
        'pass' => $clock->now += $page,
        'had' => $database->tables['ai_action_register'][] = [$user, CONTEXT_PAGES + $page, 'summarise_text', (int) $text],
    };
    return null;
}

/** Parses every file, and returns the names of those that are no PHP. */
function parsed(array $config, array $files): array
{
    return array_values(array_filter($files, static function (string $file): bool {
        try {
            token_get_all(file_get_contents($file), TOKEN_PARSE);
            return false;
        } catch (ParseError) {
            return true;
        }
    }));
}
