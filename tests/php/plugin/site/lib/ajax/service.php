<?php

// A page of a site, for tests: opens the session, as Moodle does, and lets the plugin summarise the text of the one
// call in the body. Without a body it is another page of the same person: it opens the session and ends.

declare(strict_types=1);

define('SHAPE', '5');
define('AJAX_SCRIPT', true);
require __DIR__ . '/../../../standins.php';
require __DIR__ . '/../../../http_client.php';

$SCRIPT = $_SERVER['SCRIPT_NAME'];
session_save_path(getenv('SESSIONS'));
session_id('one');
session_start();
$_SESSION['pages'] = ($_SESSION['pages'] ?? 0) + 1;
$calls = json_decode(file_get_contents('php://input'), true);
$opened = hrtime(true); // of the whole machine, so times of two processes compare
header('Content-Type: application/json');
if ($calls) {
    $provider = new \aiprovider_sidecar\provider(json_decode(getenv('CONFIG'), true));
    $action = new \core_ai\aiactions\summarise_text(1, 7, $calls[0]['args']['prompttext']);
    $answer = (new \aiprovider_sidecar\process_summarise_text($provider, $action))->process();
    echo json_encode(['answer' => $answer['generatedcontent'], 'ended' => hrtime(true)]);
} else {
    echo json_encode(['pages' => $_SESSION['pages'], 'opened' => $opened]);
}
