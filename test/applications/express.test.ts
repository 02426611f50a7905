import { EXPRESS } from './support/catalogue.ts';
import { testApplication } from './support/suite.ts';

testApplication(EXPRESS);
