// The page for addresses that lead nowhere.

import { start } from "../shell.js";

start();
