// Starts the page. Charts are fetched when the first one is opened.
import init from './ui.js';
window.wattleChart = () => import('./chart.js');
init();
